"""How fast documents may be written: an upper bound of the user's, and the cluster's own signals.

Each sign of pressure doubles a pause in front of every bulk, each sign of ease halves it (multiplicative in both
directions, as in the back-off of networks): writing becomes slow under pressure, and never stops altogether.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.engine import ClusterLoad
from sidecar.errors import InvalidInput

__all__ = ["Limits", "Pace"]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a cluster counts as busy, and how many documents per second it may get at most (None: any).

    `write_queue` is in waiting requests on the worst node, `heap_percent` in percent of its heap.
    """

    rate: float | None = None
    write_queue: int = 100
    heap_percent: int = 90

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0.0:
            raise InvalidInput("The rate must be above 0 documents per second.", field="rate")


class Pace:
    """Says how long to wait before the next documents may be written."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._free_from = clock()
        self._refusals = _Brake()
        self._pressure = _Brake()
        self._rejected_before: int | None = None

    def wait_by_rate(self, documents: int) -> float:
        """Return the seconds until the rate allows these documents, and count them."""
        now = self._clock()
        start = max(now, self._free_from)
        self._free_from = start + (documents / self._limits.rate if self._limits.rate else 0.0)
        return start - now

    @property
    def pause(self) -> float:
        """Seconds to leave the cluster alone before the next bulk."""
        return max(self._refusals.pause, self._pressure.pause)

    def answered(self, *, overloaded: bool) -> None:
        """Take the answer of a bulk into account: whether some of it was turned away (429)."""
        self._refusals.pull(overloaded)

    def observed(self, load: ClusterLoad) -> None:
        """Take what the nodes say of themselves into account."""
        before, self._rejected_before = self._rejected_before, load.write_rejected
        self._pressure.pull(
            load.write_queue >= self._limits.write_queue
            or load.heap_percent >= self._limits.heap_percent
            or (before is not None and load.write_rejected > before)
        )


class _Brake:
    def __init__(self) -> None:
        self.pause = 0.0

    def pull(self, pressed: bool) -> None:
        if pressed:
            self.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self.pause * 2))
        else:
            self.pause = self.pause / 2 if self.pause > FIRST_PAUSE else 0.0
