"""Inference threads step back behind the thread that reads and answers calls."""

from __future__ import annotations

import os
import sys
import threading

import structlog

__all__ = ["NICE", "step_back"]

log = structlog.get_logger(__name__)

NICE = 5
"""About a third of the weight that other threads have when there are more of them than cores."""


def step_back(by: int = NICE) -> None:
    """Raise the calling thread's nice value; on Linux each thread has its own. Elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + by))
    except OSError as error:
        log.debug("an inference thread keeps its priority", error=type(error).__name__)
