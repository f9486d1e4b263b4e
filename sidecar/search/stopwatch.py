"""Milliseconds per stage."""

from __future__ import annotations

import time

__all__ = ["Stopwatch"]


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the milliseconds since the last lap."""
        now = time.perf_counter()
        lap, self._last = (now - self._last) * 1_000.0, now
        return lap

    def total(self) -> float:
        """Return the milliseconds since the start."""
        return (time.perf_counter() - self._started) * 1_000.0
