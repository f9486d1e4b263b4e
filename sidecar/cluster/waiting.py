"""Streams that keep their reader waiting, and can be ended meanwhile."""

from __future__ import annotations

import io
import os
import select
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["endable"]

LOOK_SECONDS = 0.2
"""How often a reader that waits looks whether it was told to end."""


class _Endable(io.RawIOBase):
    """What arrives at a file descriptor until `ended` is set. A thread that waits in a read could not be woken."""

    def __init__(self, descriptor: int, ended: threading.Event) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._ended = ended

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ended.is_set():
            if select.select([self._descriptor], [], [], LOOK_SECONDS)[0]:
                data = os.read(self._descriptor, len(view))
                view[: len(data)] = data
                return len(data)
        return 0


def endable(stream: IO[bytes], ended: threading.Event) -> IO[bytes]:
    """Return `stream`, of which nothing was read yet, as one that is at its end as soon as `ended` is set.

    A stream that is no file of the system's comes back as it is: its reads do not wait.
    """
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return stream
    return io.BufferedReader(_Endable(descriptor, ended))
