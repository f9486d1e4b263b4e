"""Calls that do not come to a good end: full queues, deadlines, callers that leave, batches that fail, and the end."""

import asyncio
import threading
import time

import pytest

from sidecar.domain import Lane
from sidecar.errors import DeadlineExceeded, InferenceFailed, NotReady
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.workers import Runners
from tests.unit.inference.scheduling import Gate, collect, items, scheduler


async def test_a_deadline_in_the_queue():
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64, mark=1)))
        await gate.wait_entered()
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await collect(made, items(64, mark=2), deadline=started + 0.05)
        assert time.monotonic() - started < 1.0
        assert made.figures().waiting_tokens[Lane.INTERACTIVE] == 0
        gate.open.set()
        await first
    assert [item.ids[0] for batch in gate.batches for item in batch] == [1]


async def test_a_deadline_that_has_passed_never_reaches_the_model():
    gate = Gate()
    with scheduler(gate) as made:
        with pytest.raises(DeadlineExceeded):
            await collect(made, items(8), deadline=time.monotonic() - 1.0)
        assert await collect(made, items(8), deadline=time.monotonic() + 60.0) == {0: 8.0}
    assert sum(len(batch) for batch in gate.batches) <= 2


async def test_a_worker_itself_drops_expired_work():
    """A caller's event loop may be too busy to notice its own deadline."""
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64, mark=1)))
        await gate.wait_entered()
        late = asyncio.create_task(collect(made, items(64, mark=2), deadline=time.monotonic() + 0.05))
        await asyncio.sleep(0)
        time.sleep(0.1)
        gate.open.set()
        with pytest.raises(DeadlineExceeded):
            await late
        await first
    assert [item.ids[0] for batch in gate.batches for item in batch] == [1]


async def test_a_caller_that_leaves_takes_its_work_along():
    gate = Gate()
    with scheduler(gate, queue_tokens=1_024) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64, mark=1)))
        await gate.wait_entered()
        leaving = asyncio.create_task(collect(made, items(*[16] * 500, mark=2), lane=Lane.BULK))
        staying = asyncio.create_task(collect(made, items(16, 16, mark=3), lane=Lane.BULK))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert made.figures().waiting_tokens[Lane.BULK] == 32
        gate.open.set()
        assert await staying == {0: 19.0, 1: 19.0}
        await first
    assert {int(item.ids[0]) for batch in gate.batches for item in batch} == {1, 3}


async def test_leaving_while_the_batch_runs_harms_nobody():
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        leaving = asyncio.create_task(collect(made, items(8, 8, mark=1)))
        await gate.wait_entered()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        gate.open.set()
        assert await collect(made, items(8)) == {0: 8.0}


async def test_a_failing_batch_fails_its_own_call_only():
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64)))
        await gate.wait_entered()
        good = [asyncio.create_task(collect(made, items(8, mark=number))) for number in range(1, 4)]
        bad = asyncio.create_task(collect(made, items(8, 8, mark=666)))
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(InferenceFailed) as caught:
            await bad
        assert "666" not in str(caught.value)
        assert await asyncio.gather(*good) == [{0: 9.0}, {0: 10.0}, {0: 11.0}]
        await first
        assert await collect(made, items(8)) == {0: 8.0}


async def test_an_item_that_fails_fails_its_own_call_only():
    gate = Gate()
    with scheduler(gate) as made:
        good, bad = await asyncio.gather(
            collect(made, items(8)), collect(made, [*items(8), *items(8, mark=13)]), return_exceptions=True
        )
    assert good == {0: 8.0}
    assert isinstance(bad, InferenceFailed)


async def test_a_result_that_can_not_be_taken_fails_the_call():
    def refuse(slot, row):
        raise KeyError(slot)

    with scheduler(Gate()) as made:
        with pytest.raises(InferenceFailed):
            await made.run(items(8), lane=Lane.BULK, deliver=refuse, deadline=None)
        assert await collect(made, items(8)) == {0: 8.0}


async def test_closing_rejects_what_waits_and_what_comes():
    gate = Gate()
    made = Scheduler(Runners(gate), name="test", budget=64, queue_tokens=4_096)
    gate.open.clear()
    running = asyncio.create_task(collect(made, items(64)))
    await gate.wait_entered()
    waiting = asyncio.create_task(collect(made, items(64)))
    await asyncio.sleep(0)
    threading.Timer(0.05, gate.open.set).start()
    await asyncio.to_thread(made.close)
    for task in (running, waiting):
        with pytest.raises(NotReady):
            await task
    with pytest.raises(NotReady):
        await collect(made, items(8))
    made.close()


async def test_closing_with_grace_drains():
    gate = Gate(pause=0.01)
    made = Scheduler(Runners(gate), name="test", budget=64, queue_tokens=4_096)
    tasks = [asyncio.create_task(collect(made, items(64, 64))) for _ in range(5)]
    await asyncio.sleep(0)
    started = time.monotonic()
    await asyncio.to_thread(made.close, 10.0)
    assert time.monotonic() - started < 5.0
    assert await asyncio.gather(*tasks) == [{0: 64.0, 1: 64.0}] * 5
