"""One model's queue and the threads that empty it, batch by batch."""

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
from sidecar.errors import Cancelled, DeadlineExceeded, NotReady, Overloaded, SidecarError
from sidecar.inference.calls import Call, Item, Row, Waits
from sidecar.inference.deadlines import until
from sidecar.inference.lanes import Entry, Lanes
from sidecar.inference.priority import step_back
from sidecar.inference.throughput import Throughput, retry_seconds
from sidecar.inference.workers import Batch, Ran, Runners, run_batch

__all__ = ["Scheduler", "SchedulerFigures"]

log = structlog.get_logger(__name__)

CEILINGS = {Lane.INTERACTIVE: 1.0, Lane.RERANK: 1.0, Lane.BULK: 0.75}
"""How much of the queue a lane may fill: bulk work leaves room for queries."""

PIECE = 0.25
"""How much of the queue one call may fill at once; what is left of it follows as its first items run."""


@dataclass(frozen=True, slots=True)
class SchedulerFigures:
    """What a scheduler is at: tokens waiting per lane, counts since the start, tokens per second of inference.

    `busy_seconds` are summed over the threads: two that run for a second each make two. `tokens_per_second` is what
    all threads together do.
    """

    waiting_tokens: dict[Lane, int]
    batches: int
    items: int
    padded_tokens: int
    busy_seconds: float
    tokens_per_second: float


class Scheduler(Generic[Row]):
    """Runs the items of many callers in micro-batches, several at once: one in each of its runners' threads.

    Usage:
        waits = await scheduler.run(items, lane=Lane.BULK, deliver=collector.deliver, deadline=None)

    `budget` and `queue_tokens` count padded tokens; see `Settings.max_batch_tokens` and `Settings.max_queue_tokens`.
    """

    def __init__(self, runners: Runners[Row], *, name: str, budget: int, queue_tokens: int) -> None:
        self._runners = runners
        self._name = name
        self._queue_tokens = queue_tokens
        self._lanes: Lanes[Row] = Lanes(budget)
        self._backlogged: deque[Call[Row]] = deque()
        self._calls: set[Call[Row]] = set()
        self._lock = threading.RLock()
        self._available = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._accepting = True
        self._stopped = False
        self._batches = self._items = self._padded = 0
        self._busy_threads = 0
        self._busy_seconds = 0.0
        self._throughput = Throughput()
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{name}-{number}", daemon=True)
            for number in range(runners.workers)
        ]
        for thread in self._threads:
            thread.start()

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
        with self._lock:
            self._check_room(lane, tokens)

    def record(self, tokens: int, seconds: float) -> None:
        """Take what all threads together did in `seconds` into the estimate of the throughput."""
        with self._lock:
            self._throughput.record(tokens, seconds)

    def figures(self) -> SchedulerFigures:
        with self._lock:
            return SchedulerFigures(
                waiting_tokens={lane: self._lanes.tokens_of(lane) for lane in Lane},
                batches=self._batches,
                items=self._items,
                padded_tokens=self._padded,
                busy_seconds=self._busy_seconds,
                tokens_per_second=self._throughput.rate,
            )

    def close(self, grace: float = 0.0) -> None:
        """Accept nothing more, give what waits `grace` seconds, reject the rest with NotReady, end the threads."""
        with self._lock:
            self._accepting = False
            self._settled.wait_for(lambda: not self._calls, timeout=grace)
            for call in tuple(self._calls):
                self._finish(call, NotReady("The sidecar is shutting down.", retry_after=1.0))
            self._stopped = True
            self._available.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _submit(self, call: Call[Row]) -> None:
        total = sum(item.tokens for item in call.backlog)
        with self._lock:
            self._check_room(call.lane, min(total, self._piece))
            self._check_deadline(call, total)
            self._calls.add(call)
            self._top_up(call)
            if call.backlog:
                self._backlogged.append(call)
            self._available.notify()

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
        if not self._calls and self._throughput.outdated:
            # Where every call is refused nothing is measured: one is let through, and shows how fast the model is now.
            self._throughput.doubt()
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

    def _refill(self) -> None:
        """Give every call with a backlog its turn at the room there is."""
        for _ in range(len(self._backlogged)):
            call = self._backlogged.popleft()
            self._top_up(call)
            if call.backlog:
                self._backlogged.append(call)

    def _work(self) -> None:
        step_back()
        while (batch := self._next_batch()) is not None:
            for ran in run_batch(self._runners.of(batch), batch.entries, model=self._name):
                self._account(ran, batch.threads)
            with self._lock:
                self._busy_threads -= batch.threads

    def _next_batch(self) -> Batch[Row] | None:
        """Wait for work and a free thread and return a batch; None when the scheduler is closed."""
        with self._lock:
            while not self._stopped:
                batch = self._take()
                if batch is not None:
                    self._busy_threads += batch.threads
                    if self._lanes.tokens and self._free_threads:
                        # One worker wakes the next: waking all for one batch would cost more than it takes.
                        self._available.notify()
                    return batch
                self._available.wait()
            return None

    @property
    def _free_threads(self) -> int:
        return self._runners.workers - self._busy_threads

    def _take(self) -> Batch[Row] | None:
        """Take the next batch of calls that still want it; None where nothing waits or no thread is free."""
        while self._free_threads:
            taken = self._lanes.take(self._free_threads)
            if not taken:
                return None
            now = time.monotonic()
            for entry in taken:
                if entry.call.expired(now):
                    self._finish(entry.call, DeadlineExceeded("The deadline passed while the call waited."))
            live = [entry for entry in taken if not entry.call.settled]
            for entry in live:
                entry.call.waiting_tokens -= entry.item.tokens
                entry.call.longest_wait = max(entry.call.longest_wait, now - entry.call.created)
            self._refill()
            if live:
                for call in _calls(live):
                    call.batch_started(now)
                alone = not self._busy_threads and not self._lanes.tokens
                return Batch(live, self._runners.threads_for(live, alone=alone))
        return None

    def _account(self, ran: Ran[Row], threads: int) -> None:
        """Count what has run and settle the calls that it ends."""
        with self._lock:
            self._batches += 1
            self._items += len(ran.entries)
            self._padded += ran.padded
            self._busy_seconds += ran.seconds * threads
            self._throughput.record(ran.padded, ran.seconds * threads / self._runners.workers)
            now = time.monotonic()
            for call in _calls(ran.entries):
                call.batch_ended(now)
            for entry, failure in zip(ran.entries, ran.failures, strict=True):
                entry.call.outstanding -= 1
                if failure is not None or not entry.call.outstanding:
                    self._finish(entry.call, failure)

    def _drop(self, call: Call[Row]) -> None:
        with self._lock:
            self._finish(call, Cancelled("The caller left."))

    def _finish(self, call: Call[Row], error: SidecarError | None) -> None:
        """Settle a call once, and take what is left of it out of the queue."""
        if call.settled:
            return
        call.settled = True
        self._calls.discard(call)
        call.backlog.clear()
        if call.waiting_tokens:
            self._lanes.discard(call)
            self._refill()
            self._available.notify()
        call.settle(error)
        self._settled.notify_all()


def _resolve(outcome: asyncio.Future[None], error: SidecarError | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)


def _calls(entries: Sequence[Entry[Row]]) -> list[Call[Row]]:
    """Return the calls that have items among the entries, each once."""
    return list({id(entry.call): entry.call for entry in entries}.values())
