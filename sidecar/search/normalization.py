"""Putting scores of different scales side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

__all__ = ["Normalization", "normalize"]


class Normalization(StrEnum):
    """How a ranking's scores are scaled before they are added to another's.

    `min_max`: (score - smallest) / (largest - smallest), over the ranking at hand. `max`: score / largest, which keeps
    the distance of the last document from nothing. `none`: as they are.
    """

    MIN_MAX = "min_max"
    MAX = "max"
    NONE = "none"


def normalize(scores: Sequence[float], how: Normalization) -> list[float]:
    """Scale `scores`; order is kept, ties stay ties. Where all are equal, `min_max` gives 1 to each.

    `max` needs scores >= 0 that are not all 0, as the cluster's are; `min_max` stands in for it elsewhere.
    """
    if not scores or how is Normalization.NONE:
        return list(scores)
    smallest, largest = min(scores), max(scores)
    if how is Normalization.MAX and smallest >= 0.0 < largest:
        return [score / largest for score in scores]
    span = largest - smallest
    if span <= 0.0:
        return [1.0] * len(scores)
    if not math.isfinite(span):
        return [1.0 if score == largest else 0.0 for score in scores]
    return [(score - smallest) / span for score in scores]
