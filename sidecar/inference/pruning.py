"""Thinning a vector exactly as OpenSearch neural-search does (`PruneUtils.java`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sidecar.domain import Pruning, PruningType

__all__ = ["descending", "prune"]

Ids = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


def descending(ids: Ids, weights: Weights) -> tuple[Ids, Weights]:
    """Sort by descending weight, ties by ascending term id; both arrays have shape [terms]."""
    order = np.lexsort((ids, -weights))
    return ids[order], weights[order]


def prune(ids: Ids, weights: Weights, rule: Pruning) -> tuple[Ids, Weights]:
    """Return the head of a descending vector that the rule keeps.

    Every rule keeps a prefix of the descending order, because each of them drops a term only if it drops all lighter
    ones. Arithmetic is float32, as there: `max_ratio` keeps weight >= value * largest, `abs_value`
    keeps weight >= value, `top_k` the first k, `alpha_mass` adds weights up and keeps while the sum is at most
    value * total: the term that crosses is dropped, so a vector of one term becomes empty.
    """
    if rule.type is PruningType.NONE or not weights.size:
        return ids, weights
    bound = np.float32(rule.value)
    match rule.type:
        case PruningType.MAX_RATIO:
            kept = int(np.count_nonzero(weights >= bound * weights[0]))
        case PruningType.ABS_VALUE:
            kept = int(np.count_nonzero(weights >= bound))
        case PruningType.TOP_K:
            kept = min(int(rule.value), weights.size)
        case PruningType.ALPHA_MASS:
            running = np.cumsum(weights, dtype=np.float32)
            total = np.float32(weights.sum(dtype=np.float64))
            kept = int(np.count_nonzero(running <= bound * total))
    return ids[:kept], weights[:kept]
