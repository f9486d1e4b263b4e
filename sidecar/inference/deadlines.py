"""Deadlines as absolute seconds of `time.monotonic()`; None: no deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.errors import DeadlineExceeded

__all__ = ["check_deadline", "until"]

MESSAGE = "The deadline passed before the answer was there."


def check_deadline(deadline: float | None) -> None:
    """Raise DeadlineExceeded where the deadline has passed."""
    if deadline is not None and deadline <= time.monotonic():
        raise DeadlineExceeded(MESSAGE)


@asynccontextmanager
async def until(deadline: float | None) -> AsyncIterator[None]:
    """Cancel what is awaited inside when the deadline passes, and raise DeadlineExceeded."""
    if deadline is None:
        yield
        return
    check_deadline(deadline)
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            yield
    except TimeoutError:
        raise DeadlineExceeded(MESSAGE) from None
