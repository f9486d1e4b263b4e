"""How many files the process may have open, and how many connections a port may have of that."""

from __future__ import annotations

import os
import resource

import structlog

__all__ = ["connections_within", "raise_file_limit"]

MOST_CONNECTIONS = 2_048
"""Of one port, where the limit of files is no tighter: each takes memory, used or not."""

log = structlog.get_logger(__name__)


def raise_file_limit() -> None:
    """Let the process open as many files as it may let itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        # Some systems have a lower limit of their own beside the one they show.
        log.warning("file limit not raised", files=soft, error=type(error).__name__)


def connections_within(share: float) -> int:
    """Return how many connections make up `share` of the files that can be opened yet; 1 to MOST_CONNECTIONS."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    free = limit - len(os.listdir("/dev/fd"))
    return max(1, min(MOST_CONNECTIONS, int(free * share)))
