"""The `seismic` dialect: neural-search's approximate index over integer keys (`sparse_vector`, OpenSearch 3.3).

It is never chosen by itself. On nodes with 3.4 its postings of a segment were lost by a merge after a single delete,
and a filter inside the query leaked; docs/dialects.md lists what was seen. Below `approximate_threshold` documents per
segment the plugin searches exactly, and nothing of that happens.

Keys are term ids. A presence filter inside the field is impossible (`exists` is refused, a `neural_sparse` clause finds
only the `k` best of a segment), so a keyword field beside the vector says which model wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.features import checked_document, heaviest, scaled
from sidecar.engine.versions import NEURAL_SEARCH, ClusterInfo, Distribution
from sidecar.errors import InvalidInput

__all__ = ["MAX_TERM_IDS", "Seismic", "advised_ceiling"]

MAX_TERM_IDS = 32_768
"""Term ids from here on fold onto others, or make a search fail with HTTP 500, in approximate segments."""

TOP_N = 20
"""Query terms that open posting lists, the heaviest; the plugin's default of 10 costs 1 % of recall@10."""

HEAP_FACTOR = 2.0
"""How far below the worst kept score a cluster is still looked into; larger finds more (recall@10 .977, not .935)."""

DEPTH = 100
"""Documents that a segment may give where the caller names no number; the plugin's default is 10."""


@dataclass(frozen=True, slots=True)
class Seismic:
    """One `sparse_vector` field of integer keys, and `FIELD_model`, the keyword that stands in for a sentinel."""

    @property
    def name(self) -> str:
        return "seismic"

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        """`sparse_vector` came with neural-search 3.3."""
        if cluster.distribution is not Distribution.OPENSEARCH:
            return "seismic is an index of OpenSearch's neural-search plugin; this is Elasticsearch."
        if cluster.release < (3, 3):
            return f"OpenSearch {cluster.version} is too old: sparse_vector fields came with 3.3."
        return cluster.lacks(NEURAL_SEARCH)

    def unsuitable_because(self, vocabulary_size: int) -> str | None:
        """Ids of 32,768 and more are folded in approximate segments."""
        if vocabulary_size <= MAX_TERM_IDS:
            return None
        return (
            f"The model has {vocabulary_size} terms, and seismic folds ids from {MAX_TERM_IDS} on: searches would fail"
            " or find the wrong documents. Take --dialect neural_sparse or rank_features."
        )

    def field_mapping(self) -> JsonObject:
        return {"type": "sparse_vector", "method": {"name": "seismic"}}

    def written_fields(self, field: str) -> tuple[str, ...]:
        return (field, _model_field(field))

    def document_fields(self, field: str, vector: SparseVector, fingerprint: str) -> JsonObject:
        """A vector without terms is left out: the field refuses `{}`."""
        features = self.document_features(vector, fingerprint)
        model: JsonObject = {_model_field(field): fingerprint[:16]}
        return {field: features, **model} if features else model

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        """Return `{term id: weight}`; raise InvalidInput for ids and weights that the field can't take."""
        return checked_document((_key(term_id), weight) for term_id, weight in vector)

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return one `neural_sparse` with `method_parameters`; a segment gives at most `depth` documents."""
        kept = heaviest(vector)
        tokens, factor = scaled({_key(term_id): weight for term_id, weight in kept}, boost)
        if not tokens:
            return {"match_none": {}}
        clause: dict[str, float | JsonObject] = {
            "query_tokens": tokens,
            "method_parameters": {
                "top_n": min(TOP_N, len(tokens)),
                "k": max(1, DEPTH if depth is None else depth),
                "heap_factor": HEAP_FACTOR,
            },
        }
        if factor != 1.0:
            clause["boost"] = factor
        return {"neural_sparse": {field: clause}}

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        return {"term": {_model_field(field): {"value": fingerprint[:16]}}}

    def term_of(self, feature: str, vector: SparseVector) -> str | None:
        """Find the id in the query's vector, which knows its terms."""
        for term_id, term in zip(vector.term_ids, vector.terms, strict=False):
            if str(term_id) == feature:
                return term
        return None


def advised_ceiling(observed_maximum: float) -> float:
    """Return the `quantization_ceiling_ingest` for an encoder whose largest weight was `observed_maximum`.

    Weights are kept in a byte, in steps of ceiling / 255; above the ceiling they are all alike. A tenth is added for
    texts that were not observed.
    """
    return round(observed_maximum * 1.1, 2)


def _model_field(field: str) -> str:
    return f"{field}_model"


def _key(term_id: int) -> str:
    if not 0 <= term_id < MAX_TERM_IDS:
        raise InvalidInput(
            f"A term id is {MAX_TERM_IDS} or more, which seismic folds onto another: use another dialect.",
            field="vector",
        )
    return str(term_id)
