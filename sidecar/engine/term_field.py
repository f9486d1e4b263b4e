"""What the dialects share whose field holds one feature per term, named by the term, and a sentinel."""

from __future__ import annotations

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine.features import checked_document, escape, sentinel, unescape

__all__ = ["TermField"]


class TermField:
    """A field of features whose names are escaped terms; dialects add its type and how it is searched."""

    __slots__ = ()

    def unsuitable_because(self, vocabulary_size: int) -> str | None:
        """Any vocabulary will do."""
        return None

    def written_fields(self, field: str) -> tuple[str, ...]:
        return (field,)

    def document_fields(self, field: str, vector: SparseVector, fingerprint: str) -> JsonObject:
        return {field: self.document_features(vector, fingerprint)}

    def document_features(self, vector: SparseVector, fingerprint: str) -> dict[str, float]:
        """Return `{feature: weight}`; raise InvalidInput for a weight that Lucene would refuse."""
        features = checked_document((self.feature_of(term), weight) for term, weight in vector.by_term().items())
        features[sentinel(fingerprint)] = 1.0
        return features

    def feature_of(self, term: str) -> str:
        """Return the feature's name for a term."""
        return escape(term)

    def term_of(self, feature: str, vector: SparseVector) -> str | None:
        return unescape(feature)
