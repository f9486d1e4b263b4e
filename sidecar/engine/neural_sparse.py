"""The `neural_sparse` dialect: OpenSearch's neural-search plugin, given ready tokens and weights.

The field is `rank_features` and the score is the same inner product as in the `rank_features` dialect. What the plugin
adds: one compact clause instead of one per term, tokens with dots, the two-phase processor, `hybrid` queries, and
documents and queries that the cluster has encoded by a connector. Features are the terms as they are, because that is
what a connector's `sparse_encoding` processor writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.features import heaviest, scaled, sentinel
from sidecar.engine.term_field import TermField
from sidecar.engine.versions import NEURAL_SEARCH, ClusterInfo, Distribution

__all__ = ["NeuralSparse"]


@dataclass(frozen=True, slots=True)
class NeuralSparse(TermField):
    """One `rank_features` field, searched by `neural_sparse` with `query_tokens`."""

    @property
    def name(self) -> str:
        return "neural_sparse"

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """`query_tokens` came with neural-search 2.14."""
        if cluster.distribution is not Distribution.OPENSEARCH:
            return "neural_sparse is a query of OpenSearch's neural-search plugin; this is Elasticsearch."
        if cluster.release < (2, 14):
            return f"OpenSearch {cluster.version} is too old: neural_sparse takes query_tokens from 2.14 on."
        return cluster.lacks(NEURAL_SEARCH)

    def field_mapping(self) -> JsonObject:
        return {"type": "rank_features"}

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return one `neural_sparse` of at most MAX_CLAUSES tokens; weights above 64 are scaled down, the boost up."""
        tokens, factor = scaled(heaviest(vector).by_term(), boost)
        if not tokens:
            return {"match_none": {}}
        clause: dict[str, float | dict[str, float]] = {"query_tokens": tokens}
        if factor != 1.0:
            clause["boost"] = factor
        return {"neural_sparse": {field: clause}}

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """The sentinel, by a `rank_feature` clause, which the two-phase processor leaves alone."""
        clause: JsonObject = {"rank_feature": {"field": f"{field}.{sentinel(fingerprint)}", "linear": {}, "boost": 1.0}}
        return {"bool": {"filter": [clause]}}

    def feature_of(self, term: str) -> str:
        return term

    def term_of(self, feature: str, vector: SparseVector) -> str | None:
        return feature
