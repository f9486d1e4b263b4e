"""Contenders take turns, round by round, so that they share whatever else happens on the machine."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["percentile", "take_turns"]


async def take_turns(
    contenders: Mapping[str, Callable[[int], Awaitable[float]]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Call every contender once a round with the round's number, and return what each gave, by name.

    Each round begins with another contender, so that nobody always comes after the same neighbour. A round -1 is not
    counted: it warms everything up.
    """
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    if warm_up:
        for work in contenders.values():
            await work(-1)
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names) if names else 0
        for name in (*names[turn:], *names[:turn]):
            seen[name].append(await contenders[name](number))
    return seen


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("There is no percentile of nothing.")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
