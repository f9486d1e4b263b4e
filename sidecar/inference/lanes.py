"""Which items run next: lanes by priority, calls of a lane fairly, similar lengths together."""

from __future__ import annotations

import heapq
from typing import Generic, NamedTuple

from sidecar.domain import Lane
from sidecar.inference.calls import Call, Item, Row

__all__ = ["SHARES", "Entry", "LaneQueue", "Lanes"]

PRIORITY = (Lane.INTERACTIVE, Lane.RERANK, Lane.BULK)

SHARES = {Lane.INTERACTIVE: 0.0, Lane.RERANK: 0.2, Lane.BULK: 0.1}
"""What a lane is owed of the tokens that run while it waits for a lane above it."""

SPREAD_TOKENS = 64
"""What is not cut further to give every free thread something: from here on a run's own cost is a tenth or less."""

MERGE_WASTE = 16
"""Padding, in tokens, that is worth one session run less: what a run costs before its first token."""


class Entry(NamedTuple, Generic[Row]):
    """A queued item; heaps order by `tag`, then by `number`, which is unique."""

    tag: float
    number: int
    call: Call[Row]
    item: Item


class LaneQueue(Generic[Row]):
    """The items of one lane, in one heap per bucket.

    Start-time fair queueing over calls (Goyal, Vin, Cheng 1996): an item's tag is the later of the lane's virtual
    time and the end of its call's previous item, so that a call of one query does not wait for the whole of a call
    of ten thousand that came first.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._heaps: dict[int, list[Entry[Row]]] = {}
        self._virtual = 0.0
        self._numbers = 0

    def __len__(self) -> int:
        return sum(len(heap) for heap in self._heaps.values())

    def add(self, call: Call[Row], item: Item) -> None:
        tag = max(self._virtual, call.tag)
        call.tag = tag + item.tokens
        self._numbers += 1
        heapq.heappush(self._heaps.setdefault(item.tokens, []), Entry(tag, self._numbers, call, item))
        self.tokens += item.tokens

    def take(self, budget: int) -> list[Entry[Row]]:
        """Remove and return the next batch: at most `budget` padded tokens, or a single longer item.

        The item with the smallest tag sets the length; its bucket fills the batch, then whole shorter buckets where
        that costs less padding than a run of their own costs.
        """
        if not self._heaps:
            return []
        length = min(self._heaps, key=lambda tokens: self._heaps[tokens][0][:2])
        self._virtual = self._heaps[length][0].tag
        room = max(1, budget // length)
        taken = self._pop(length, room)
        for shorter in sorted((tokens for tokens in self._heaps if tokens < length), reverse=True):
            count = len(self._heaps[shorter])
            if count <= room - len(taken) and count * (length - shorter) <= MERGE_WASTE:
                taken.extend(self._pop(shorter, count))
        return taken

    def discard(self, call: Call[Row]) -> None:
        """Remove every item of the call."""
        for tokens in tuple(self._heaps):
            kept = [entry for entry in self._heaps[tokens] if entry.call is not call]
            self.tokens -= tokens * (len(self._heaps[tokens]) - len(kept))
            if kept:
                heapq.heapify(kept)
                self._heaps[tokens] = kept
            else:
                del self._heaps[tokens]

    def _pop(self, tokens: int, most: int) -> list[Entry[Row]]:
        heap = self._heaps[tokens]
        taken = [heapq.heappop(heap) for _ in range(min(most, len(heap)))]
        self.tokens -= tokens * len(taken)
        if not heap:
            del self._heaps[tokens]
        return taken


class Lanes(Generic[Row]):
    """All lanes of one model. A lane that waits while others run earns its share and runs when it has a batch's worth,
    so that bulk work gets at least SHARES of the tokens whatever arrives above it.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._queues: dict[Lane, LaneQueue[Row]] = {lane: LaneQueue() for lane in PRIORITY}
        self._owed: dict[Lane, float] = dict.fromkeys(PRIORITY, 0.0)

    @property
    def tokens(self) -> int:
        return sum(queue.tokens for queue in self._queues.values())

    def tokens_of(self, lane: Lane) -> int:
        return self._queues[lane].tokens

    def tokens_above(self, lane: Lane, own: int) -> int:
        """Return how many tokens of higher lanes surely run before `own` tokens of this lane have run.

        Not all that waits there now: the lane gets its share meanwhile.
        """
        above = sum(self._queues[other].tokens for other in PRIORITY[: PRIORITY.index(lane)])
        return min(above, int(own / SHARES[lane]) - own) if SHARES[lane] else above

    def add(self, call: Call[Row], item: Item) -> None:
        self._queues[call.lane].add(call, item)

    def discard(self, call: Call[Row]) -> None:
        self._queues[call.lane].discard(call)

    def take(self, takers: int = 1) -> list[Entry[Row]]:
        """Remove and return the next batch, or nothing where nothing waits.

        `takers` are the free threads, this one included: what waits in a lane is cut so that each gets some of it.
        """
        waiting = [lane for lane in PRIORITY if self._queues[lane].tokens]
        if not waiting:
            return []
        chosen = next((lane for lane in waiting[1:] if self._owed[lane] >= self._budget), waiting[0])
        share = -(-self._queues[chosen].tokens // takers)
        taken = self._queues[chosen].take(min(self._budget, max(SPREAD_TOKENS, share)))
        used = len(taken) * max(entry.item.tokens for entry in taken)
        for lane in PRIORITY:
            if lane is chosen:
                self._owed[lane] = max(0.0, self._owed[lane] - used)
            elif lane in waiting:
                self._owed[lane] += SHARES[lane] * used
            else:
                self._owed[lane] = 0.0
        return taken
