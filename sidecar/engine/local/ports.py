"""Ports for a local node.

A node binds its port seconds after it was chosen. Until it stops, the choice is marked by a lock on a file in the
temporary folder: two nodes that start at the same time do not choose the same port.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from sidecar.errors import LocalNodeError

__all__ = ["FIRST_PORT", "LAST_PORT", "PortRange", "choose"]

FIRST_PORT = 9_200
LAST_PORT = 9_299
"""The runner looks no further, and closes without a word."""


class PortRange:
    """Ports that this process has reserved; `release` gives them back, and so does its end."""

    def __init__(self, first: int, locks: list[int]) -> None:
        self.first = first
        self._locks = locks

    def release(self) -> None:
        """Give the ports back; a second time does nothing."""
        locks, self._locks = self._locks, []
        for lock in locks:
            os.close(lock)


def choose(wanted: int, nodes: int) -> PortRange:
    """Reserve a port for each node: from `wanted` on, or the first free run of ports where `wanted` is 0.

    Raises LocalNodeError where `wanted` is taken or out of range, or nothing is free.
    """
    if nodes < 1:
        raise LocalNodeError("A local cluster has at least one node.", field="nodes")
    if wanted == 0:
        for first in range(FIRST_PORT, LAST_PORT - nodes + 2):
            found = _reserve(first, nodes)
            if found is not None:
                return found
        raise LocalNodeError(f"No {nodes} free ports in a row between {FIRST_PORT} and {LAST_PORT}.", field="port")
    if not FIRST_PORT <= wanted <= LAST_PORT - nodes + 1:
        raise LocalNodeError(f"The ports must lie between {FIRST_PORT} and {LAST_PORT}.", field="port")
    found = _reserve(wanted, nodes)
    if found is None:
        to = f" to {wanted + nodes - 1}" if nodes > 1 else ""
        raise LocalNodeError(
            f"Port {wanted}{to} is taken: give another --port, or 0 for the first that is free.", field="port"
        )
    return found


def _reserve(first: int, count: int) -> PortRange | None:
    reserved = PortRange(first, [])
    for port in range(first, first + count):
        lock = _lock(port)
        if lock is None:
            reserved.release()
            return None
        reserved = PortRange(first, [*reserved._locks, lock])
        if not _is_free(port):
            reserved.release()
            return None
    return reserved


def _lock(port: int) -> int | None:
    """Return the descriptor of a locked file, or None where another process, or another user's, holds it."""
    path = Path(tempfile.gettempdir()) / f"splade-sidecar-port-{port}.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True
