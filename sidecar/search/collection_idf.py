"""Query weights adapted to the collection: the bundle's IDF blended with the index's own."""

from __future__ import annotations

from sidecar.domain import Encoding, SparseVector
from sidecar.engine import CollectionFrequencies

__all__ = ["adapted"]


def adapted(encoding: Encoding, frequencies: CollectionFrequencies, share: float) -> SparseVector:
    """Return a query's `weight ** (1 - share) * idf ** share` for each term, `idf` being that of the index.

    `share` 0 keeps the bundle's weights, 1 takes the index's IDF alone. A term that every document of a narrow
    collection has then weighs little there, however rare it is elsewhere. Terms stay in descending order of weight,
    ties by id; a term never enters or leaves. What a repeated term was multiplied by says nothing of its rarity: it is
    taken out before and put back after.
    """
    vector = encoding.vector
    factors = encoding.repetition or (1.0,) * len(vector)
    blended = [
        (factor * (weight / factor) ** (1.0 - share) * frequencies.idf(term_id) ** share, term_id, place)
        for place, ((term_id, weight), factor) in enumerate(zip(vector, factors, strict=True))
    ]
    blended.sort(key=lambda one: (-one[0], one[1]))
    return SparseVector(
        term_ids=tuple(term_id for _, term_id, _ in blended),
        weights=tuple(weight for weight, _, _ in blended),
        terms=tuple(vector.terms[place] for _, _, place in blended) if vector.terms else (),
    )
