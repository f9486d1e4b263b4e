"""Log lines that one cause brings by the thousand: the first at once, then one now and then, with their count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

__all__ = ["Repeats"]


class Repeats:
    """Says which occurrences of a thing are worth a line: the first after `seconds` of silence, then one in `seconds`.

    May be used from any thread: asyncio reports some errors from the one that collects garbage.

    Usage:
        refusals = Repeats(seconds=60.0)
        if (left_out := refusals.worth_a_line("full")) is not None:
            log.warning("calls refused", left_out=left_out)
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def worth_a_line(self, what: Hashable) -> int | None:
        """Return how many occurrences had no line since the last one that had; None where this one has none either.

        `what` tells things apart; there must be few of them, since each is remembered.
        """
        with self._lock:
            now = self._clock()
            written, left_out = self._seen.get(what, (float("-inf"), 0))
            if now - written < self._seconds:
                self._seen[what] = (written, left_out + 1)
                return None
            self._seen[what] = (now, 0)
            return left_out
