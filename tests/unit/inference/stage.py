"""Runners of which a test decides when a batch ends, and which count the threads in use."""

import asyncio
import threading
from contextlib import contextmanager
from functools import partial

from sidecar.inference.scheduler import Scheduler
from sidecar.inference.workers import Runners


class Stage:
    """Runners that count the threads in use and end a batch only when the test lets one end."""

    def __init__(self, workers: int, *, held: bool = True, wide: bool = False) -> None:
        self.workers = workers
        self.held = held
        self.permits = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.used = self.most = 0
        self.started: list[tuple[int, list]] = []
        self.ended = 0
        self.runners = Runners(partial(self.run, 1), workers, partial(self.run, workers) if wide else None)

    def run(self, threads, batch):
        with self.lock:
            self.used += threads
            self.most = max(self.most, self.used)
            self.started.append((threads, list(batch)))
        if self.held:
            self.permits.acquire(timeout=20)
        with self.lock:
            self.used -= threads
            self.ended += 1
        if any(item.ids[0] == 666 for item in batch):
            raise RuntimeError("broken")
        return [float(len(item.ids) + item.ids[0]) for item in batch]

    def end(self, batches: int = 1) -> None:
        self.permits.release(batches)

    def release(self) -> None:
        self.held = False
        self.permits.release(1_000)

    async def wait_started(self, batches: int) -> None:
        """Wait until so many have started, and give one too many the time to show."""
        while len(self.started) < batches:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert len(self.started) == batches

    @property
    def marks(self) -> list[int]:
        """The call of each batch, in the order in which they started."""
        return [int(batch[0].ids[0]) for _, batch in self.started]


@contextmanager
def staged(stage: Stage, *, budget: int = 64, queue_tokens: int = 100_000):
    made = Scheduler(stage.runners, name="test", budget=budget, queue_tokens=queue_tokens)
    try:
        yield made
    finally:
        stage.release()
        made.close()
