"""Vectors that the dialects' tests share."""

from __future__ import annotations

from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.engine.features import SMALLEST_WEIGHT

FINGERPRINT = "0123456789abcdef" * 4

terms = st.text(st.characters(codec="utf-8"), max_size=30)
weights = st.floats(SMALLEST_WEIGHT, 1e6, allow_subnormal=False)
vectors = st.dictionaries(terms, weights, max_size=40).map(
    lambda features: SparseVector(
        tuple(range(len(features))), tuple(sorted(features.values(), reverse=True)), tuple(features)
    )
)
"""Any terms, any weights that a document may have."""


def weighted(count: int) -> SparseVector:
    """`count` terms t0, t1, … with weights from `count` downwards."""
    return SparseVector(
        tuple(range(count)), tuple(float(count - place) for place in range(count)), tuple(f"t{i}" for i in range(count))
    )
