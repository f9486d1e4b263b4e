"""What a search does without, and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from sidecar.errors import DeadlineExceeded, SidecarError, wire_error

__all__ = ["NO_QUERY_TERMS", "NO_STORED_VECTORS", "Deadline", "Degraded", "degraded_by", "within"]

NO_QUERY_TERMS = "NO_QUERY_TERMS"
"""The encoder found no term in the query: punctuation only, or only special tokens."""

NO_STORED_VECTORS = "NO_STORED_VECTORS"
"""The index keeps no vectors in `_source`: there is nothing that could be fed back."""

GRACE_SECONDS = 0.1
"""What a call may take beyond its own timeout before it is abandoned from outside."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Degraded:
    """A stage (`encode` | `feedback` | `rerank`) that was left out, and the reason's code."""

    stage: str
    reason: str


def degraded_by(stage: str, error: SidecarError) -> Degraded:
    """Return the degradation that `error` causes; its code is the one of ErrorInfo."""
    return Degraded(stage, wire_error(error).reason)


class Deadline:
    """A moment by which the whole search must be done."""

    def __init__(self, seconds: float) -> None:
        self._moment = time.monotonic() + seconds

    def left(self, limit: float | None = None) -> float:
        """Return the seconds left, at most `limit`; never below a millisecond, so that a call fails by itself."""
        left = max(0.001, self._moment - time.monotonic())
        return left if limit is None else min(left, limit)

    def half(self, limit: float) -> float:
        """Return the seconds for a stage that can be done without: at most `limit`, and half of what is left.

        What comes after it is the answer, and keeps the other half.
        """
        return min(self.left() / 2, limit)


async def within(seconds: float, call: Awaitable[Answer]) -> Answer:
    """Await `call`, and abandon it if it ignores its own timeout of `seconds`; raise DeadlineExceeded then."""
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            return await call
    except TimeoutError:
        raise DeadlineExceeded(f"The sidecar did not answer within {seconds:g} s.") from None
