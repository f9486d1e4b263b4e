"""Tokens a second as measured lately, and what follows for a call's deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sidecar.errors import DeadlineExceeded, Overloaded

__all__ = ["Throughput", "retry_seconds"]

UNMEASURED_RATE = 1_000.0

FADING = 0.9
"""What is kept of the tokens and seconds measured so far when the next batch is added to them."""

HOPE = 2.0
"""How many times as fast as measured inference may turn out to be: only what even that can't save is refused early."""

SURPRISE = 4.0
"""How many times as long as expected a run may count: one that took longer was stopped with its process, or with its
machine, and says little about the next."""

DOUBTED_SECONDS = 1e-6
"""What all runs so far weigh once they are doubted."""

FRESH_SECONDS = 5.0
"""How long what was measured is held against a call where nothing runs and nothing waits."""

SHORTEST_RETRY, LONGEST_RETRY = 0.05, 60.0


@dataclass(slots=True)
class Throughput:
    """An estimate that fades: the last ten batches or so count. Not locked: the scheduler's lock guards it."""

    tokens: float = 0.0
    seconds: float = 0.0
    measured: float = field(default_factory=time.monotonic)

    def record(self, tokens: int, seconds: float) -> None:
        """Take a run into the estimate; of its `seconds` no more than SURPRISE times what was expected."""
        if self.seconds:
            seconds = min(seconds, SURPRISE * tokens / self.rate)
        self.tokens = FADING * self.tokens + tokens
        self.seconds = FADING * self.seconds + max(seconds, 1e-6)
        self.measured = time.monotonic()

    @property
    def outdated(self) -> bool:
        """Whether the last run was more than FRESH_SECONDS ago."""
        return time.monotonic() - self.measured > FRESH_SECONDS

    def doubt(self) -> None:
        """Keep the rate, and believe the next run more than all before it."""
        if self.seconds:
            self.tokens, self.seconds = DOUBTED_SECONDS * self.rate, DOUBTED_SECONDS

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds else UNMEASURED_RATE

    def check_deadline(self, left: float, *, own: int, ahead: int, model: str) -> None:
        """Refuse a call of `own` tokens that would be too late after having cost inference; `left` in seconds.

        `ahead` are the tokens that surely run first. Raises DeadlineExceeded where the call alone takes too long,
        Overloaded where only what is ahead of it makes it late. Before anything was measured nothing is refused.
        """
        if not self.seconds:
            return
        alone = own / self.rate
        if alone > HOPE * left:
            raise DeadlineExceeded(
                f"The call takes model {model} about {alone:.3g} s and its deadline leaves {max(left, 0.0):.3g} s: send"
                " less at once, or give it more time."
            )
        seconds = alone + ahead / self.rate
        if seconds > HOPE * left:
            wait = retry_seconds(seconds - left)
            raise Overloaded(
                f"The queue of model {model} is too long for the call's deadline; try again in {wait} s.",
                retry_after=wait,
            )


def retry_seconds(seconds: float) -> float:
    """Return when to come again, within sensible bounds."""
    return round(min(max(seconds, SHORTEST_RETRY), LONGEST_RETRY), 3)
