"""Passages: a nested field whose objects hold one vector each, and the best of them counts (MaxP).

Each object is `{"vector": ..., "text": ..., "start": ...}`: the vector as the index's dialect keeps it, with its
sentinel; the text that was encoded; and where it begins in the document's text, in characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.domain import JsonObject, JsonValue, SparseVector
from sidecar.engine.dialect import Dialect, dialect_named
from sidecar.engine.meta import IndexMeta
from sidecar.engine.passages import EncodedPassage
from sidecar.engine.versions import ClusterInfo

__all__ = [
    "PASSAGE_DIALECTS",
    "START",
    "TEXT",
    "VECTOR",
    "PassageField",
    "dialect_of",
    "own_fields",
    "scored_field",
    "vector_fields",
]

VECTOR, TEXT, START = "vector", "text", "start"
"""The keys of a passage's object."""

PASSAGE_DIALECTS = ("neural_sparse", "rank_features", "rank_features_saturation")
"""Dialects whose field is `rank_features`."""


@dataclass(frozen=True, slots=True)
class PassageField:
    """A dialect's field as `vector` in the objects of a nested field; the nested field has the vector field's name."""

    inner: Dialect

    @property
    def name(self) -> str:
        return self.inner.name

    def unsupported_because(self, cluster: ClusterInfo) -> str | None:
        return self.inner.unsupported_because(cluster)

    def unsuitable_because(self, vocabulary_size: int) -> str | None:
        """Only dialects of `rank_features` are known to work inside nested objects."""
        if self.name not in PASSAGE_DIALECTS:
            return f"Passages are kept in rank_features, which {self.name} is not: take --dialect rank_features."
        return self.inner.unsuitable_because(vocabulary_size)

    def field_mapping(self) -> JsonObject:
        return {"type": "nested"}

    def written_fields(self, field: str) -> tuple[str, ...]:
        return (field,)

    def document_fields(self, field: str, vector: SparseVector, fingerprint: str) -> JsonObject:
        """Return a document of one passage that does not say where it stands."""
        return {field: [{VECTOR: self.document_features(vector, fingerprint)}]}

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        return self.inner.document_features(vector, fingerprint)

    def sparse_query(
        self, field: str, vector: SparseVector, boost: float = 1.0, depth: int | None = None
    ) -> JsonObject:
        """Return a query by the inner product with the best passage; matches nothing for no terms."""
        return _nested(field, self.inner.sparse_query(f"{field}.{VECTOR}", vector, boost, depth))

    def scored_by(
        self,
        field: str,
        vector: SparseVector,
        fingerprint: str,
        boost: float = 1.0,
        depth: int | None = None,
        shown: JsonObject | None = None,
    ) -> JsonObject:
        """Return `sparse_query` for passages that the same model encoded and for no others.

        Presence is asked of the very passage that scores, in the same nested query: a second one would join all
        passages to their documents once more. `shown`: the `inner_hits` clause, where passages are to be seen.
        """
        inner: JsonObject = {
            "bool": {
                "should": [self.inner.sparse_query(f"{field}.{VECTOR}", vector, boost, depth)],
                "minimum_should_match": 1,
                "filter": [self.inner.presence_filter(f"{field}.{VECTOR}", fingerprint)],
            }
        }
        return _nested(field, inner, shown)

    def presence_filter(self, field: str, fingerprint: str) -> JsonObject:
        """A document has all of its passages or none: they are written together."""
        return _nested(field, self.inner.presence_filter(f"{field}.{VECTOR}", fingerprint))

    def term_of(self, feature: str, vector: SparseVector) -> str | None:
        return self.inner.term_of(feature, vector)


def dialect_of(meta: IndexMeta) -> Dialect:
    """Return how an index keeps vectors: its dialect, in nested objects where it has passages."""
    dialect = dialect_named(meta.dialect)
    return dialect if meta.passages is None else PassageField(dialect)


def own_fields(meta: IndexMeta) -> tuple[str, ...]:
    """Return the top-level fields of a document that are ours, and not the application's; the hash is the last."""
    return (*dialect_of(meta).written_fields(meta.vector_field), meta.hash_field)


def scored_field(meta: IndexMeta) -> str:
    """Return the field that features are looked for in."""
    return meta.vector_field if meta.passages is None else f"{meta.vector_field}.{VECTOR}"


def vector_fields(vector: SparseVector | Sequence[EncodedPassage], meta: IndexMeta, dialect: Dialect) -> JsonObject:
    """Return the top-level fields that hold a document's vector, or its passages with theirs.

    Raises InvalidInput for a weight that Lucene would refuse.
    """
    if isinstance(vector, SparseVector):
        return dialect.document_fields(meta.vector_field, vector, meta.fingerprint)
    objects: list[JsonValue] = [
        {
            VECTOR: dialect.document_features(one.vector, meta.fingerprint),
            TEXT: one.passage.text,
            START: one.passage.start,
        }
        for one in vector
    ]
    return {meta.vector_field: objects}


def _nested(path: str, query: JsonObject, shown: JsonObject | None = None) -> JsonObject:
    clause: JsonObject = {"path": path, "query": query, "score_mode": "max"}
    return {"nested": clause if shown is None else {**clause, "inner_hits": shown}}
