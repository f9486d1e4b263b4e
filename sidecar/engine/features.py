"""What all dialects share: feature names, the sentinel, and the limits of Lucene's feature fields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sidecar.domain import SparseVector
from sidecar.errors import InvalidInput

__all__ = [
    "LARGEST_QUERY_WEIGHT",
    "LARGEST_WEIGHT",
    "MAX_CLAUSES",
    "MAX_TERM_BYTES",
    "SENTINEL_PREFIX",
    "SMALLEST_WEIGHT",
    "checked_document",
    "escape",
    "heaviest",
    "scaled",
    "sentinel",
    "unescape",
]

MAX_CLAUSES = 1_000
"""Terms per sparse query; below `indices.query.bool.max_clause_count` (1,024), to leave the rest of the body some."""

MAX_TERM_BYTES = 32_766
"""Lucene's limit for one term, in UTF-8 bytes."""

SMALLEST_WEIGHT = 1.1754943508222875e-38
"""The smallest positive normal float32."""

LARGEST_WEIGHT = 3.4028234663852886e38
"""The largest finite float32."""

LARGEST_QUERY_WEIGHT = 64.0
"""Lucene's `FeatureField.newLinearQuery` refuses a larger weight; a query's boost is not limited."""

SENTINEL_PREFIX = "_splade_"


def escape(term: str) -> str:
    """Return a feature name without dots.

    `rank_feature` splits its field at the last dot: a feature with a dot in its name is never found, without an error.
    """
    return term.replace("%", "%25").replace(".", "%2E")


def unescape(feature: str) -> str:
    """Return the term of a feature name; the inverse of `escape`."""
    return feature.replace("%2E", ".").replace("%25", "%")


def sentinel(fingerprint: str) -> str:
    """Return the feature that every vector of the model holds with weight 1; no query scores it."""
    return f"{SENTINEL_PREFIX}{fingerprint[:16]}"


def checked_document(weighted: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return `{feature: weight}`; raise InvalidInput for what Lucene would refuse."""
    features: dict[str, float] = {}
    for feature, weight in weighted:
        if not (SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT):
            raise InvalidInput("A document's weights must be finite positive normal floats.", field="vector")
        if len(feature.encode()) > MAX_TERM_BYTES:
            raise InvalidInput(f"A term has more than {MAX_TERM_BYTES} bytes.", field="vector")
        features[feature] = weight
    return features


def heaviest(vector: SparseVector) -> SparseVector:
    """Return the MAX_CLAUSES heaviest terms, which is nearly always all of them.

    Raises InvalidInput for weights that are not finite and > 0.
    """
    if not all(math.isfinite(weight) and weight > 0.0 for weight in vector.weights):
        raise InvalidInput("A query's weights must be finite and > 0.", field="vector")
    if len(vector) <= MAX_CLAUSES:
        return vector
    kept = sorted(range(len(vector)), key=lambda place: -vector.weights[place])[:MAX_CLAUSES]
    return SparseVector(
        tuple(vector.term_ids[place] for place in kept),
        tuple(vector.weights[place] for place in kept),
        tuple(vector.terms[place] for place in kept) if vector.terms else (),
    )


def scaled(weighted: Mapping[str, float], boost: float) -> tuple[dict[str, float], float]:
    """Return weights in (0, 64] and the boost that makes up for it.

    Raises InvalidInput for a boost that is not finite and > 0.
    """
    if not (math.isfinite(boost) and boost > 0.0):
        raise InvalidInput("A query's weights, and its boost, must be finite and > 0.", field="vector")
    factor = max(weighted.values(), default=0.0) / LARGEST_QUERY_WEIGHT
    if factor <= 1.0:
        return dict(weighted), boost
    # A division may round up past the limit, or down to nothing.
    return {
        feature: min(max(weight / factor, SMALLEST_WEIGHT), LARGEST_QUERY_WEIGHT)
        for feature, weight in weighted.items()
    }, boost * factor
