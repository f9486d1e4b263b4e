"""Processes that are forked while a channel is open: gRPC's threads do not come along, and no call would ever end."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

from grpc import aio

from sidecar.errors import InvalidInput

__all__ = ["ADVICE", "CHANNELS", "check_not_cut_off", "in_child"]

ADVICE = (
    "gRPC does not survive that. Make clients and searchers in each worker, after the fork (gunicorn: post_fork,"
    " Celery: worker_process_init), or start workers by spawn."
)

CHANNELS: weakref.WeakSet[aio.Channel] = weakref.WeakSet()
"""The open channels of this process; who closes one takes it out."""

_Function = TypeVar("_Function", bound=Callable[[], None])

_cut_off = False


def check_not_cut_off() -> None:
    """Raise InvalidInput where this process was forked from one with an open channel: a new one would be dead too."""
    if _cut_off:
        raise InvalidInput(f"This process was forked from one that had a client open: {ADVICE}")


def in_child(function: _Function) -> _Function:
    """Have `function` called in every process that is forked from this one, where processes can be forked."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


@in_child
def _look_back() -> None:
    global _cut_off
    _cut_off = _cut_off or bool(CHANNELS)
