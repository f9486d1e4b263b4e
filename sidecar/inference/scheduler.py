"""One model's queue and the thread that empties it, batch by batch."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog

from sidecar.domain import Lane
from sidecar.errors import Cancelled, DeadlineExceeded, InferenceFailed, NotReady, Overloaded, SidecarError
from sidecar.inference.calls import Call, Item, Row, Waits
from sidecar.inference.deadlines import until
from sidecar.inference.lanes import Entry, Lanes
from sidecar.inference.throughput import Throughput, retry_seconds

__all__ = ["Runner", "Scheduler", "SchedulerFigures"]

log = structlog.get_logger(__name__)

Runner = Callable[[Sequence[Item]], Sequence[Row | SidecarError]]
"""Runs one batch: a row, or an error, for each item, in the order of the items."""

CEILINGS = {Lane.INTERACTIVE: 1.0, Lane.RERANK: 1.0, Lane.BULK: 0.75}
"""How much of the queue a lane may fill: bulk work leaves room for queries."""

PIECE = 0.25
"""How much of the queue one call may fill at once; what is left of it follows as its first items run."""


@dataclass(frozen=True, slots=True)
class SchedulerFigures:
    """What a scheduler is at: tokens waiting per lane, counts since the start, tokens per second of inference."""

    waiting_tokens: dict[Lane, int]
    batches: int
    items: int
    padded_tokens: int
    busy_seconds: float
    tokens_per_second: float


class Scheduler(Generic[Row]):
    """Runs the items of many callers in micro-batches, in a thread of its own.

    Usage:
        waits = await scheduler.run(items, lane=Lane.BULK, deliver=collector.deliver, deadline=None)

    `budget` and `queue_tokens` count padded tokens; see `Settings.max_batch_tokens` and `Settings.max_queue_tokens`.
    """

    def __init__(self, runner: Runner[Row], *, name: str, budget: int, queue_tokens: int) -> None:
        self._runner = runner
        self._name = name
        self._queue_tokens = queue_tokens
        self._lanes: Lanes[Row] = Lanes(budget)
        self._backlogged: deque[Call[Row]] = deque()
        self._calls: set[Call[Row]] = set()
        self._changed = threading.Condition()
        self._accepting = True
        self._stopped = False
        self._batches = self._items = self._padded = 0
        self._busy = 0.0
        self._throughput = Throughput()
        self._thread = threading.Thread(target=self._work, name=f"inference-{name}", daemon=True)
        self._thread.start()

    async def run(
        self, items: Sequence[Item], *, lane: Lane, deliver: Callable[[int, Row], None], deadline: float | None
    ) -> Waits:
        """Run every item and return when all were delivered; cancelling drops those that have not started.

        Raises Overloaded at once where the queue has no room for the call's first piece, or where what is ahead of it
        takes too long for its deadline; DeadlineExceeded, at once where the call alone takes too long for it;
        InferenceFailed, and NotReady where the scheduler is closed.
        """
        if not items:
            return Waits()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()

        def settle(error: SidecarError | None) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, outcome, error)
            except RuntimeError:
                log.debug("a caller's event loop closed before its answer", model=self._name)

        call = Call.of(items, lane=lane, deliver=deliver, settle=settle, deadline=deadline)
        self._submit(call)
        try:
            async with until(deadline):
                await outcome
        finally:
            self._drop(call)
        return call.waits

    def check_room(self, lane: Lane, tokens: int = 1) -> None:
        """Raise Overloaded or NotReady where a call of so many tokens would be refused now."""
        with self._changed:
            self._check_room(lane, tokens)

    def record(self, tokens: int, seconds: float) -> None:
        """Take a measured run into the estimate of the throughput."""
        with self._changed:
            self._throughput.record(tokens, seconds)

    def figures(self) -> SchedulerFigures:
        with self._changed:
            return SchedulerFigures(
                waiting_tokens={lane: self._lanes.tokens_of(lane) for lane in Lane},
                batches=self._batches,
                items=self._items,
                padded_tokens=self._padded,
                busy_seconds=self._busy,
                tokens_per_second=self._throughput.rate,
            )

    def close(self, grace: float = 0.0) -> None:
        """Accept nothing more, give what waits `grace` seconds, reject the rest with NotReady, end the thread."""
        with self._changed:
            self._accepting = False
            self._changed.wait_for(lambda: not self._calls, timeout=grace)
            for call in tuple(self._calls):
                self._finish(call, NotReady("The sidecar is shutting down.", retry_after=1.0))
            self._stopped = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _submit(self, call: Call[Row]) -> None:
        total = sum(item.tokens for item in call.backlog)
        with self._changed:
            self._check_room(call.lane, min(total, self._piece))
            self._check_deadline(call, total)
            self._calls.add(call)
            self._top_up(call)
            if call.backlog:
                self._backlogged.append(call)
            self._changed.notify_all()

    @property
    def _piece(self) -> int:
        return int(self._queue_tokens * PIECE)

    def _check_room(self, lane: Lane, tokens: int) -> None:
        if not self._accepting:
            raise NotReady("The sidecar is shutting down.", retry_after=1.0)
        waiting = self._lanes.tokens
        missing = waiting + tokens - CEILINGS[lane] * self._queue_tokens
        if waiting and missing > 0:
            seconds = retry_seconds(missing / self._throughput.rate)
            raise Overloaded(f"The queue of model {self._name} is full; try again in {seconds} s.", retry_after=seconds)

    def _check_deadline(self, call: Call[Row], own: int) -> None:
        if call.deadline is None:
            return
        # Calls of one lane take turns, so each has at most as much ahead of this one's end as this one has itself.
        beside = sum(min(other.waiting_tokens, own) for other in self._calls if other.lane is call.lane)
        ahead = self._lanes.tokens_above(call.lane, own) + beside
        self._throughput.check_deadline(call.deadline - time.monotonic(), own=own, ahead=ahead, model=self._name)

    def _top_up(self, call: Call[Row]) -> None:
        """Move items from the call's backlog to the queue while the call's share and the queue have room."""
        ceiling = CEILINGS[call.lane] * self._queue_tokens
        while call.backlog:
            tokens = call.backlog[0].tokens
            over_share = call.waiting_tokens and call.waiting_tokens + tokens > self._piece
            if over_share or (self._lanes.tokens and self._lanes.tokens + tokens > ceiling):
                return
            self._lanes.add(call, call.backlog.popleft())
            call.waiting_tokens += tokens

    def _work(self) -> None:
        while batch := self._next_batch():
            self._execute(batch)

    def _next_batch(self) -> list[Entry[Row]]:
        """Wait for work and return a batch of calls that still want it; nothing when the scheduler is closed."""
        with self._changed:
            while True:
                if self._stopped:
                    return []
                taken = self._lanes.take()
                if not taken:
                    self._changed.wait()
                    continue
                now = time.monotonic()
                for entry in taken:
                    if entry.call.expired(now):
                        self._finish(entry.call, DeadlineExceeded("The deadline passed while the call waited."))
                live = [entry for entry in taken if not entry.call.settled]
                for entry in live:
                    entry.call.waiting_tokens -= entry.item.tokens
                    entry.call.longest_wait = max(entry.call.longest_wait, now - entry.call.created)
                for _ in range(len(self._backlogged)):
                    call = self._backlogged.popleft()
                    self._top_up(call)
                    if call.backlog:
                        self._backlogged.append(call)
                if live:
                    return live

    def _execute(self, batch: list[Entry[Row]]) -> None:
        calls = {id(entry.call): entry.call for entry in batch}
        started = time.perf_counter()
        try:
            rows = self._runner([entry.item for entry in batch])
        except Exception as error:
            log.error("inference failed", model=self._name, items=len(batch), calls=len(calls), **_reason(error))
            if len(calls) > 1:
                for key in calls:
                    self._execute([entry for entry in batch if id(entry.call) == key])
                return
            rows = [InferenceFailed("The model failed on this call.")] * len(batch)
        seconds = time.perf_counter() - started
        padded = len(batch) * max(entry.item.tokens for entry in batch)
        errors = [_deliver(entry, row) for entry, row in zip(batch, rows, strict=True)]
        with self._changed:
            self._batches += 1
            self._items += len(batch)
            self._padded += padded
            self._busy += seconds
            for call in calls.values():
                call.inference += seconds
            for entry, failure in zip(batch, errors, strict=True):
                entry.call.outstanding -= 1
                if failure is not None or not entry.call.outstanding:
                    self._finish(entry.call, failure)
        self.record(padded, seconds)

    def _drop(self, call: Call[Row]) -> None:
        with self._changed:
            self._finish(call, Cancelled("The caller left."))

    def _finish(self, call: Call[Row], error: SidecarError | None) -> None:
        """Settle a call once, and take what is left of it out of the queue."""
        if call.settled:
            return
        call.settled = True
        self._calls.discard(call)
        if call.waiting_tokens:
            self._lanes.discard(call)
        if call.backlog:
            call.backlog.clear()
        call.settle(error)
        self._changed.notify_all()


def _resolve(outcome: asyncio.Future[None], error: SidecarError | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)


def _deliver(entry: Entry[Row], row: Row | SidecarError) -> SidecarError | None:
    """Hand the row to its call; return what makes the call fail, if anything."""
    if entry.call.settled or isinstance(row, SidecarError):
        return row if isinstance(row, SidecarError) else None
    try:
        entry.call.deliver(entry.item.slot, row)
    except Exception as error:
        log.error("a result could not be taken; this is a bug", error=type(error).__name__)
        return InferenceFailed("The model's answer could not be read.")
    return None


def _reason(error: Exception) -> dict[str, str]:
    """Describe a runtime's failure without its status message, which may hold token ids of the text."""
    return {"error": type(error).__name__, "where": str(error).partition("Status Message")[0][:200]}
