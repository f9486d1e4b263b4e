"""A client's connection: the channel, which is of one event loop and one process, and calls over it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from grpc import aio

from sidecar.client._forks import ADVICE, CHANNELS, check_not_cut_off
from sidecar.client._retry import call_with_retry
from sidecar.client._tracing import traced_call
from sidecar.errors import InvalidInput, SidecarUnavailable
from sidecar.tracing import Headers

__all__ = ["Connection"]

_Response = TypeVar("_Response")


class Connection:
    """Opens its channel by `connect` with the first call, and gives each call its deadline, retries and metadata.

    `target` is how errors and spans call the address; `metadata` goes with every call of `sidecar.v1`. `timeout` is
    how many seconds a call may take altogether where the call itself does not say; None: as long as the server lets it.
    """

    def __init__(
        self,
        connect: Callable[[], aio.Channel],
        *,
        target: str,
        metadata: Headers,
        timeout: float | None,
        overload_retries: int,
    ) -> None:
        self.target = target
        self.metadata = metadata
        self._connect = connect
        self._timeout = timeout
        self._overload_retries = overload_retries
        self._channel: aio.Channel | None = None
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def channel(self) -> aio.Channel:
        """Return the channel.

        Raises SidecarUnavailable once it is closed, InvalidInput in another event loop than that of the first call, and
        in a process that was forked since.
        """
        if self._closed:
            raise SidecarUnavailable(f"This client of {self.target} is closed.")
        running = asyncio.get_running_loop()
        if self._channel is None:
            check_not_cut_off()
            # Not in __init__: a channel belongs to the event loop that is running when it is made.
            self._channel = self._connect()
            self._process, self._loop = os.getpid(), running
            CHANNELS.add(self._channel)
        if self._process != os.getpid():
            raise InvalidInput(f"This client of {self.target} was used before this process was forked: {ADVICE}")
        if self._loop is not running:
            raise InvalidInput(
                f"This client of {self.target} belongs to another event loop, that of its first call: make a client in"
                " each, or take a SidecarClient."
            )
        return self._channel

    async def close(self) -> None:
        """Close the channel; calls under way end with SidecarUnavailable."""
        self._closed = True
        if self._channel is not None and self._process == os.getpid():
            CHANNELS.discard(self._channel)
            await self._channel.close()
        self._channel = None

    async def called(
        self, method: str, attempt: Callable[[float | None, Headers], Awaitable[_Response]], timeout: float | None
    ) -> _Response:
        """Make a call of `sidecar.v1`, with token and trace context; `attempt` gets the seconds left and both."""
        with traced_call(f"sidecar.v1.{method}", self.target) as trace:
            metadata = (*self.metadata, *trace)
            return await self.call(lambda left: attempt(left, metadata), timeout)

    async def call(self, attempt: Callable[[float | None], Awaitable[_Response]], timeout: float | None) -> _Response:
        """Make any call; `attempt` gets the seconds left."""
        try:
            return await call_with_retry(
                attempt,
                timeout=self._timeout if timeout is None else timeout,
                overload_retries=self._overload_retries,
                target=self.target,
            )
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if not self._closed or (waiting is not None and waiting.cancelling()):
                raise
            # gRPC cancels the call, and whoever waits for it would be taken for cancelled, too.
            raise SidecarUnavailable(f"This client of {self.target} was closed before the answer was there.") from None
