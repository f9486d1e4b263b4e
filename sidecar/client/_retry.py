"""Calls under a deadline, sent again when the sidecar is overloaded."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from grpc.aio import AioRpcError

from sidecar.client._failures import translate
from sidecar.errors import Overloaded

__all__ = ["call_with_retry"]

JITTER = 0.5
"""A retry waits up to this share longer than asked for, so that callers turned away together do not return together."""

LONGEST = 365 * 24 * 3600.0
"""Seconds; gRPC takes a deadline that lies much farther off for one that has passed."""

_Response = TypeVar("_Response")


async def call_with_retry(
    attempt: Callable[[float | None], Awaitable[_Response]],
    *,
    timeout: float | None,
    overload_retries: int,
    target: str,
) -> _Response:
    """Run `attempt(seconds left)`; after an overload wait as long as the server asks, with jitter, and try again.

    An overload is raised at once where the wait would pass the deadline. gRPC itself retries UNAVAILABLE.
    """
    deadline = None if timeout is None else time.monotonic() + min(timeout, LONGEST)
    retries = 0
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            return await attempt(left)
        except AioRpcError as failure:
            error = translate(failure, target)
        if not isinstance(error, Overloaded) or error.retry_after is None or retries >= overload_retries:
            raise error
        wait = error.retry_after * (1.0 + JITTER * random.random())
        if deadline is not None and time.monotonic() + wait >= deadline:
            raise error
        await asyncio.sleep(wait)
        retries += 1
