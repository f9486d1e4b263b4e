"""Turning what a graph gives into term weights where the graph does not do it itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sidecar.bundle.manifest import Activation, Pooling

__all__ = ["activate", "pool_logits", "pool_own_terms"]

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

SLICE = 16
"""Positions activated at once under sum pooling: [16, vocabulary] floats are 2 MB at 30,522 terms."""


def activate(logits: Floats, activation: Activation) -> Floats:
    """Return the activation of the logits, any shape, as a new array."""
    weights = np.maximum(logits, np.float32(0.0))
    if activation is not Activation.RELU:
        np.log1p(weights, out=weights)
    if activation is Activation.LOG1P_LOG1P_RELU:
        np.log1p(weights, out=weights)
    return weights


def pool_logits(logits: Floats, pooling: Pooling, activation: Activation) -> Floats:
    """Pool one text's [length, vocabulary] logits, padding already cut off, to [vocabulary] weights.

    Max pooling takes the largest logit first, because the activations are monotone; sum pooling adds the activations
    slice by slice, so that no second array of the logits' size exists.
    """
    if pooling is Pooling.MAX:
        return activate(logits.max(axis=0), activation)
    total = np.zeros(logits.shape[1], dtype=np.float32)
    for start in range(0, logits.shape[0], SLICE):
        total += activate(logits[start : start + SLICE], activation).sum(axis=0, dtype=np.float32)
    return total


def pool_own_terms(ids: Ids, weights: Floats, pooling: Pooling) -> tuple[Ids, Floats]:
    """Reduce one weight per token, both of shape [length], to one per distinct term id, by largest or by sum."""
    terms, inverse = np.unique(ids, return_inverse=True)
    pooled = np.zeros(terms.size, dtype=np.float32)
    if pooling is Pooling.MAX:
        np.maximum.at(pooled, inverse, weights)
    else:
        np.add.at(pooled, inverse, weights)
    return terms, pooled
