"""What a fusion strategy reads and writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

__all__ = ["FusionStrategy", "Scored", "in_order"]


class Scored(NamedTuple):
    """A document's id and its score; lists of it are in descending order of score."""

    id: str
    score: float


class FusionStrategy(Protocol):
    """Makes one ranking of several. Chosen by its `method` in a profile."""

    def fuse(self, rankings: Sequence[Sequence[Scored]], weights: Sequence[float]) -> list[Scored]:
        """Return every document of `rankings` once, in descending order of its fused score.

        The result does not depend on the order of `rankings`, as long as `weights` are in the same order.
        """
        ...


def in_order(shares: Mapping[str, Sequence[float]], rankings: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Add up each document's `shares` and sort: by sum, then by the best rank in any ranking, then by id.

    The sums are exact (`math.fsum`), since rounding that depends on the order of the rankings would break ties anew.
    """
    best: dict[str, int] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking):
            best[document.id] = min(rank, best.get(document.id, rank))
    fused = [Scored(name, math.fsum(parts)) for name, parts in shares.items()]
    return sorted(fused, key=lambda document: (-document.score, best[document.id], document.id))
