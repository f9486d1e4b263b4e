"""Ports for a local node."""

from __future__ import annotations

import errno
import socket

from sidecar.errors import LocalNodeError

__all__ = ["FIRST_PORT", "LAST_PORT", "are_free", "choose"]

FIRST_PORT = 9_200
LAST_PORT = 9_299
"""The runner looks no further, and closes without a word."""


def are_free(first: int, count: int) -> bool:
    """Return whether `count` ports from `first` on can be bound on the loopback interface."""
    return all(_is_free(port) for port in range(first, first + count))


def choose(wanted: int, nodes: int) -> int:
    """Return the first node's port: `wanted`, or the first free run of ports where `wanted` is 0.

    Raises LocalNodeError where `wanted` is taken or out of range, or nothing is free.
    """
    if nodes < 1:
        raise LocalNodeError("A local cluster has at least one node.", field="nodes")
    if wanted == 0:
        for first in range(FIRST_PORT, LAST_PORT - nodes + 2):
            if are_free(first, nodes):
                return first
        raise LocalNodeError(f"No {nodes} free ports in a row between {FIRST_PORT} and {LAST_PORT}.", field="port")
    if not FIRST_PORT <= wanted <= LAST_PORT - nodes + 1:
        raise LocalNodeError(f"The ports must lie between {FIRST_PORT} and {LAST_PORT}.", field="port")
    if not are_free(wanted, nodes):
        raise LocalNodeError(
            f"Port {wanted}{f' to {wanted + nodes - 1}' if nodes > 1 else ''} is taken: give another --port, or 0 for"
            " the first that is free.",
            field="port",
        )
    return wanted


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
