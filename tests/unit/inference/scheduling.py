"""What tests of the scheduler run: items of given lengths, and a runner that can be held shut."""

import asyncio
import threading
import time
from contextlib import contextmanager

import numpy as np

from sidecar.domain import Lane
from sidecar.errors import InferenceFailed
from sidecar.inference.calls import Item
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.workers import Runners


def items(*lengths: int, mark: int = 0) -> list[Item]:
    return [
        Item(np.full(length, mark, dtype=np.int32), slot=slot, tokens=length, second=length)
        for slot, length in enumerate(lengths)
    ]


class Gate:
    """A runner that records its batches, answers each item with its length, and can be held shut."""

    def __init__(self, *, pause: float = 0.0) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.pause = pause
        self.batches: list[list[Item]] = []

    def __call__(self, batch):
        self.entered.release()
        self.open.wait(10)
        time.sleep(self.pause)
        self.batches.append(list(batch))
        if any(item.ids[0] == 666 for item in batch):
            raise RuntimeError("Status Message: token 666 of the text")
        return [
            InferenceFailed("not finite") if item.ids[0] == 13 else float(len(item.ids) + item.ids[0]) for item in batch
        ]

    async def wait_entered(self) -> None:
        while not self.entered.acquire(blocking=False):
            await asyncio.sleep(0.001)


@contextmanager
def scheduler(runner, *, budget: int = 64, queue_tokens: int = 4_096):
    made = Scheduler(Runners(runner), name="test", budget=budget, queue_tokens=queue_tokens)
    try:
        yield made
    finally:
        if isinstance(runner, Gate):
            runner.open.set()
        made.close()


async def collect(made, work, *, lane=Lane.INTERACTIVE, deadline=None) -> dict[int, float]:
    rows: dict[int, float] = {}

    def deliver(slot, row):
        assert slot not in rows
        rows[slot] = row

    await made.run(work, lane=lane, deliver=deliver, deadline=deadline)
    return rows
