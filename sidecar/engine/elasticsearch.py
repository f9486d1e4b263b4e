"""The `elasticsearch` dialect: the `sparse_vector` field and query of Elasticsearch 8.15 and newer.

Elasticsearch prunes queries by default, by rules made for one model of its own: frequent terms and light ones are
dropped. Inference-free queries consist of IDF weights, so pruning is switched off in every query.
Features are escaped as in `rank_features`: versions before 8.16 refuse a dot in a feature's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.features import escape, heaviest, scaled, sentinel
from sidecar.engine.term_field import TermField
from sidecar.engine.versions import ClusterInfo, Distribution

__all__ = ["ElasticsearchSparseVector"]


@dataclass(frozen=True, slots=True)
class ElasticsearchSparseVector(TermField):
    """One `sparse_vector` field; features are escaped term strings, and one sentinel."""

    @property
    def name(self) -> str:
        return "elasticsearch"

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """The `sparse_vector` query with a ready vector came with 8.15."""
        if cluster.distribution is not Distribution.ELASTICSEARCH:
            return "Elasticsearch's sparse_vector query is not in OpenSearch."
        if cluster.release < (8, 15):
            return f"Elasticsearch {cluster.version} is too old: its sparse_vector query came with 8.15."
        return None

    def field_mapping(self) -> JsonObject:
        return {"type": "sparse_vector"}

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return one `sparse_vector` query of at most MAX_CLAUSES features, unpruned."""
        named = {escape(term): weight for term, weight in heaviest(vector).by_term().items()}
        features, factor = scaled(named, boost)
        if not features:
            return {"match_none": {}}
        return _query(field, features, factor)

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        return {"bool": {"filter": [_query(field, {sentinel(fingerprint): 1.0}, 1.0)]}}


def _query(field: str, features: dict[str, float], boost: float) -> JsonObject:
    clause: dict[str, str | bool | float | dict[str, float]] = {
        "field": field,
        "query_vector": features,
        "prune": False,
    }
    if boost != 1.0:
        clause["boost"] = boost
    return {"sparse_vector": clause}
