"""What a fusion strategy reads and writes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["FusionStrategy", "Key", "Scored", "in_order"]

Key = TypeVar("Key", bound=Hashable)
"""What tells documents apart: an id, or an id and its index. Keys of one kind have an order."""


class Scored(NamedTuple, Generic[Key]):
    """A document's key and its score; lists of it are in descending order of score."""

    id: Key
    score: float


class FusionStrategy(Protocol):
    """Makes one ranking of several. Chosen by its `method` in a profile."""

    def fuse(self, rankings: Sequence[Sequence[Scored[Key]]], weights: Sequence[float]) -> list[Scored[Key]]:
        """Return every document of `rankings` once, in descending order of its fused score.

        The result does not depend on the order of `rankings`, as long as `weights` are in the same order.
        """
        ...


def in_order(shares: Mapping[Key, Sequence[float]], rankings: Sequence[Sequence[Scored[Key]]]) -> list[Scored[Key]]:
    """Add up each document's `shares` and sort: by sum, then by the best rank in any ranking, then by key.

    The sums are exact (`math.fsum`), since rounding that depends on the order of the rankings would break ties anew.
    """
    best: dict[Key, int] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking):
            best[document.id] = min(rank, best.get(document.id, rank))
    fused = [Scored(key, math.fsum(parts)) for key, parts in shares.items()]
    return sorted(fused, key=lambda document: (-document.score, best[document.id], document.id))
