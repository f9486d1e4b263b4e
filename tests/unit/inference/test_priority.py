"""Inference threads have a lower priority than the event loop's, and nobody else does."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

import pytest

from sidecar.domain import Lane
from sidecar.inference.calls import Item
from sidecar.inference.priority import NICE, step_back
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.workers import Runners
from tests.unit.inference.scheduling import items

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has a nice value per thread.")


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def in_a_thread(by: int) -> int:
    found: list[int] = []

    def work() -> None:
        step_back(by)
        found.append(niceness(threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


def test_only_the_calling_thread_steps_back() -> None:
    own = niceness(threading.get_native_id())
    assert in_a_thread(NICE) == min(19, own + NICE)
    assert niceness(threading.get_native_id()) == own


def test_there_is_an_end_to_it() -> None:
    assert in_a_thread(100) == 19


async def test_every_worker_of_a_scheduler_steps_back() -> None:
    seen: dict[int, int] = {}
    together = threading.Barrier(2, timeout=30.0)

    def run(batch: Sequence[Item]) -> list[float]:
        together.wait()
        thread = threading.get_native_id()
        seen[thread] = niceness(thread)
        return [0.0] * len(batch)

    scheduler = Scheduler(Runners(run, workers=2), name="test", budget=16, queue_tokens=4_096)
    try:
        await scheduler.run(items(16, 16), lane=Lane.BULK, deliver=lambda slot, row: None, deadline=None)
    finally:
        scheduler.close()
    own = niceness(threading.get_native_id())
    assert list(seen.values()) == [min(19, own + NICE)] * 2
