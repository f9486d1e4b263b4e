"""Tokens a second as measured lately, and what follows for a call's deadline."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.errors import DeadlineExceeded, Overloaded

__all__ = ["Throughput", "retry_seconds"]

UNMEASURED_RATE = 1_000.0

FADING = 0.9
"""What is kept of the tokens and seconds measured so far when the next batch is added to them."""

HOPE = 2.0
"""How many times as fast as measured inference may turn out to be: only what even that can't save is refused early."""

SHORTEST_RETRY, LONGEST_RETRY = 0.05, 60.0


@dataclass(slots=True)
class Throughput:
    """An estimate that fades: the last ten batches or so count. Not locked: the scheduler's lock guards it."""

    tokens: float = 0.0
    seconds: float = 0.0

    def record(self, tokens: int, seconds: float) -> None:
        """Take a run into the estimate."""
        self.tokens = FADING * self.tokens + tokens
        self.seconds = FADING * self.seconds + max(seconds, 1e-6)

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
