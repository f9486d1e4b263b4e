"""Ordering the reranked head by both stages."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.search.normalization import Normalization, normalize

__all__ = ["interpolated", "mixed_with_probabilities", "order_by_probability", "order_of_head"]


def interpolated(first_stage: Sequence[float], rerank: Sequence[float], weight: float) -> list[float]:
    """Return (1 - weight) * first_stage + weight * rerank, both scaled to [0, 1] over these documents (min-max).

    `first_stage[i]` and `rerank[i]` belong to the same document; `weight` lies in [0, 1].
    """
    first = normalize(first_stage, Normalization.MIN_MAX)
    second = normalize(rerank, Normalization.MIN_MAX)
    return [(1.0 - weight) * a + weight * b for a, b in zip(first, second, strict=True)]


def mixed_with_probabilities(
    first_stage: Sequence[float], probabilities: Sequence[float], weight: float
) -> list[float]:
    """Return (1 - weight) * first_stage + weight * probabilities, the first stage scaled to [0, 1] over the head.

    `first_stage` covers the head, `probabilities` its first documents, as many as there are values returned. They are
    taken as they are, so that no document's value depends on what the others get.
    """
    first = normalize(first_stage, Normalization.MIN_MAX)
    return [(1.0 - weight) * a + weight * b for a, b in zip(first, probabilities, strict=False)]


def order_by_probability(first_stage: Sequence[float], probabilities: Sequence[float], weight: float) -> list[int]:
    """Return the positions of the head's documents that have a probability, in their new order.

    Ties keep the first stage's order.
    """
    keys = mixed_with_probabilities(first_stage, probabilities, weight)
    return sorted(range(len(keys)), key=lambda position: -keys[position])


def order_of_head(first_stage: Sequence[float], rerank: Sequence[float], weight: float) -> list[int]:
    """Return the positions of the head's documents in their new order; ties keep the first stage's order.

    `weight` 0 is exactly the first stage's order, 1 exactly the reranker's: neither goes through scaled scores, in
    which close values could fall together.
    """
    if len(first_stage) != len(rerank):
        raise ValueError("The two stages scored different numbers of documents.")
    positions = range(len(first_stage))
    if weight <= 0.0:
        return list(positions)
    keys = list(rerank) if weight >= 1.0 else interpolated(first_stage, rerank, weight)
    return sorted(positions, key=lambda position: -keys[position])
