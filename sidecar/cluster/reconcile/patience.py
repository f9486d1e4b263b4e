"""Beginning again while a cluster or a sidecar is away, up to the end of one's patience."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sidecar.errors import (
    DeadlineExceeded,
    EngineOverloaded,
    EngineUnavailable,
    NotReady,
    Overloaded,
    SidecarError,
    SidecarUnavailable,
)

__all__ = ["LONGEST_WAIT", "PASSING", "patiently", "rest"]

PASSING = (EngineUnavailable, EngineOverloaded, SidecarUnavailable, NotReady, Overloaded, DeadlineExceeded)
"""What may be over in a while: the pass begins again, from the index."""

LONGEST_WAIT = 15.0

LONG_ATTEMPT = 120.0
"""Seconds after which an attempt that fails was under way, not in vain: comparing may take hours and find nothing."""

LONG_ATTEMPTS = 50
"""How many of those may fail one after the other with nothing found: they use no patience up, and must end too."""


async def patiently(
    attempt: Callable[[], Awaitable[None]],
    *,
    patience: float,
    stopping: asyncio.Event,
    found: Callable[[], int],
) -> None:
    """Begin `attempt` again while it fails by what passes, until `patience` seconds pass with nothing `found`."""
    failures, long_attempts, done = 0, 0, -1
    away_since = time.monotonic()
    while not stopping.is_set():
        began = time.monotonic()
        try:
            await attempt()
            return
        except PASSING as error:
            now, progress = time.monotonic(), found()
            if progress != done:
                failures = long_attempts = 0
                away_since = now
            elif now - began > max(LONG_ATTEMPT, patience):
                long_attempts += 1
                away_since = now
            done = progress
            failures += 1
            if now - away_since > patience or long_attempts > LONG_ATTEMPTS:
                raise
            await rest(stopping, _wait_after(error, failures))


async def rest(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so many seconds, or until `stopping` is set."""
    if seconds > 0.0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)


def _wait_after(error: SidecarError, failures: int) -> float:
    longest: float = min(LONGEST_WAIT, 0.25 * 2.0 ** min(failures, 10))
    return max(error.retry_after or 0.0, longest * random.uniform(0.5, 1.0))
