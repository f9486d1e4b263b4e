"""Callers that ask and never read: an answer that nobody takes is given up, with its memory and its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["STALL_SECONDS", "StallWatch"]

STALL_SECONDS = 60.0
"""How long a caller may take nothing of what waits to be sent. The system takes up to a megabyte at a time, so that
this also says how slowly a caller may read: some 20 kB a second."""


class StallWatch:
    """Watches what one transport has yet to send; also after it was closed, which alone would wait for ever."""

    def __init__(self, transport: asyncio.WriteTransport, on_stall: Callable[[], None]) -> None:
        """`on_stall` is called once, after the connection was cut."""
        self._transport = transport
        self._on_stall = on_stall
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count from now, if anything waits to be sent."""
        self.end()
        left = self._transport.get_write_buffer_size()
        if left:
            self._timer = asyncio.get_running_loop().call_later(STALL_SECONDS, self._look, left)

    def end(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: int) -> None:
        self._timer = None
        if self._transport.get_write_buffer_size() < before:
            self.begin()
            return
        self._transport.abort()
        self._on_stall()
