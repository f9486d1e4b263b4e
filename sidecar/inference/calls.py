"""What the scheduler moves around: sequences of token ids, and the call each of them belongs to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sidecar.domain import Lane
from sidecar.errors import SidecarError

__all__ = ["Call", "Ids", "Item", "Row", "Waits"]

Ids = npt.NDArray[np.int32]
Row = TypeVar("Row")
"""What a model gives for one sequence."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One sequence: `ids` of shape [length] with special tokens, from `second` on of the second segment.

    `slot` says which part of the call it is, `tokens` what it costs: its length, padded to its bucket.
    """

    ids: Ids
    slot: int
    tokens: int
    second: int


@dataclass(frozen=True, slots=True)
class Waits:
    """Where a call's time went, in seconds: the longest wait of an item, and how long at least one batch with items of
    the call ran.
    """

    queue: float = 0.0
    inference: float = 0.0


@dataclass(slots=True, eq=False)
class Call(Generic[Row]):
    """One caller's items on their way. The scheduler's lock guards every field that changes.

    `deliver(slot, row)` runs in one of the scheduler's threads, once per item and, by `delivering`, never twice at
    once; `settle(error)` once, when all items were delivered (None) or the call failed.
    """

    lane: Lane
    backlog: deque[Item]
    deliver: Callable[[int, Row], None]
    settle: Callable[[SidecarError | None], None]
    deadline: float | None = None
    created: float = field(default_factory=time.monotonic)
    outstanding: int = 0
    waiting_tokens: int = 0
    tag: float = 0.0
    longest_wait: float = 0.0
    inference: float = 0.0
    settled: bool = False
    running: int = 0
    running_since: float = 0.0
    delivering: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        *,
        lane: Lane,
        deliver: Callable[[int, Row], None],
        settle: Callable[[SidecarError | None], None],
        deadline: float | None,
    ) -> Call[Row]:
        return cls(lane, deque(items), deliver, settle, deadline, outstanding=len(items))

    def expired(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now

    def batch_started(self, now: float) -> None:
        if not self.running:
            self.running_since = now
        self.running += 1

    def batch_ended(self, now: float) -> None:
        self.running -= 1
        if not self.running:
            self.inference += now - self.running_since

    @property
    def waits(self) -> Waits:
        return Waits(queue=self.longest_wait, inference=self.inference)
