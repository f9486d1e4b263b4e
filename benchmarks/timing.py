"""Contenders take turns, round by round, so that they share whatever else happens on the machine."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from benchmarks.errors import BenchmarkFailed

__all__ = ["percentile", "take_turns"]


async def take_turns(
    contenders: Mapping[str, Callable[[int], Awaitable[float]]],
    rounds: int,
    *,
    warm_up: bool = True,
    failed: dict[str, str] | None = None,
) -> dict[str, list[float]]:
    """Call every contender once a round with the round's number, and return what each gave, by name.

    Each round begins with another contender, so that nobody always comes after the same neighbour. A round -1 is not
    counted: it warms everything up. One that raises BenchmarkFailed leaves the race with all its rounds, and `failed`
    gets its name and the reason; without `failed` it ends the race for all.
    """
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1 if warm_up else 0, rounds):
        turn = max(0, number) % len(names) if names else 0
        for name in (*names[turn:], *names[:turn]):
            if name not in seen:
                continue
            try:
                value = await contenders[name](number)
            except BenchmarkFailed as error:
                if failed is None:
                    raise
                failed[name] = error.message
                del seen[name]
                continue
            if number >= 0:
                seen[name].append(value)
    return seen


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("There is no percentile of nothing.")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
