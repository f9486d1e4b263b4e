"""When the rest of the head need not be read."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.search.rerank.interpolate import mixed_with_probabilities

__all__ = ["is_settled"]


def is_settled(
    first_stage: Sequence[float],
    probabilities: Sequence[float],
    weight: float,
    *,
    page: int,
    cut_off: float | None = None,
) -> bool:
    """Return whether reading on can't change the first `page` documents of the head any more.

    `first_stage` has a score for each document of the head, `probabilities` one for each of those that were read, which
    are the first. An unread document gets at most (1 - weight) * its scaled first-stage score + weight, as if it were
    certain. A document that only equals the last one of the page stays below it: it stood below it before.

    This is the stopping rule of threshold algorithms (Fagin, Lotem & Naor, Optimal aggregation algorithms for
    middleware, 2003), with 1 as the bound of the score that is unknown.
    """
    read = len(probabilities)
    if read >= len(first_stage):
        return True
    ceiling = [1.0] * (len(first_stage) - read)
    values = mixed_with_probabilities(first_stage, [*probabilities, *ceiling], weight)
    reached = [
        value
        for value, probability in zip(values, probabilities, strict=False)
        if cut_off is None or probability >= cut_off
    ]
    if len(reached) < page:
        return False
    return sorted(reached, reverse=True)[page - 1] >= max(values[read:])
