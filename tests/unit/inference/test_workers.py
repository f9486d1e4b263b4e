"""Several batches at once: who runs beside whom, and what stays as it is with one worker."""

import asyncio
import threading

import pytest

from sidecar.domain import Lane
from sidecar.errors import InferenceFailed, NotReady
from sidecar.inference.calls import Call
from sidecar.inference.lanes import SPREAD_TOKENS, Entry
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.workers import run_batch
from tests.unit.inference.scheduling import collect, items
from tests.unit.inference.stage import Stage, staged


async def test_one_call_runs_on_every_worker_and_no_more():
    stage = Stage(3)
    with staged(stage) as made:
        task = asyncio.create_task(collect(made, items(*[64] * 10)))
        await stage.wait_started(3)
        assert stage.used == 3
        stage.end()
        await stage.wait_started(4)
        stage.release()
        assert await task == dict.fromkeys(range(10), 64.0)
    assert stage.most == 3


async def test_calls_of_one_text_run_side_by_side():
    stage = Stage(3)
    with staged(stage) as made:
        tasks = []
        for number in range(3):
            tasks.append(asyncio.create_task(collect(made, items(8, mark=number))))
            await stage.wait_started(number + 1)
        stage.release()
        assert await asyncio.gather(*tasks) == [{0: 8.0}, {0: 9.0}, {0: 10.0}]


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([96] * 8, [2, 2, 2, 2]),
        ([96] * 9, [2, 2, 2, 3]),
        ([8] * 8, [8]),
        ([32] * 4, [2, 2]),
        ([64] * 64, [16, 16, 16, 16]),
        ([512], [1]),
    ],
)
async def test_what_waits_is_cut_into_even_parts_for_the_free_workers(lengths, batches):
    stage = Stage(4)
    with staged(stage, budget=1_024) as made:
        task = asyncio.create_task(collect(made, items(*lengths)))
        await stage.wait_started(len(batches))
        assert sorted(len(batch) for _, batch in stage.started) == batches
        stage.release()
        assert len(await task) == len(lengths)
    assert SPREAD_TOKENS == 64


async def test_a_query_runs_as_soon_as_one_worker_is_through():
    stage = Stage(2)
    with staged(stage) as made:
        bulk = asyncio.create_task(collect(made, items(*[64] * 20, mark=3), lane=Lane.BULK))
        await stage.wait_started(2)
        rerank = asyncio.create_task(collect(made, items(64, 64, mark=2), lane=Lane.RERANK))
        await asyncio.sleep(0)
        query = asyncio.create_task(collect(made, items(8, mark=1)))
        await asyncio.sleep(0)
        for ended in range(1, 4):
            stage.end()
            await stage.wait_started(2 + ended)
        assert stage.marks == [3, 3, 1, 2, 2]
        stage.release()
        await asyncio.gather(bulk, rerank, query)


async def test_the_items_of_a_call_start_in_their_order():
    stage = Stage(3, held=False)
    with staged(stage) as made:
        await collect(made, items(*[64] * 50))
    # Workers enter the runner after they took the batch, so two neighbours may change places.
    slots = [batch[0].slot for _, batch in stage.started]
    assert sorted(slots) == list(range(50))
    assert all(abs(place - slot) <= 3 for place, slot in enumerate(slots))


async def test_a_small_call_does_not_wait_for_a_large_one_of_its_lane():
    stage = Stage(2)
    with staged(stage) as made:
        large = asyncio.create_task(collect(made, items(*[64] * 100, mark=1), lane=Lane.BULK))
        await stage.wait_started(2)
        small = asyncio.create_task(collect(made, items(64, 64, mark=2), lane=Lane.BULK))
        await asyncio.sleep(0)
        stage.end(6)
        await stage.wait_started(8)
        assert stage.marks.count(2) == 2
        stage.release()
        assert await small == {0: 66.0, 1: 66.0}
        await large


async def test_a_call_is_handed_one_row_at_a_time():
    stage = Stage(4, held=False)
    inside, rows = threading.Lock(), {}

    def deliver(slot, row):
        assert inside.acquire(blocking=False)
        rows[slot] = row
        threading.Event().wait(0.001)
        inside.release()

    with staged(stage) as made:
        await made.run(items(*[32] * 64), lane=Lane.BULK, deliver=deliver, deadline=None)
    assert rows == dict.fromkeys(range(64), 32.0)


async def test_a_caller_that_leaves_while_several_of_its_batches_run():
    stage = Stage(2)
    with staged(stage) as made:
        leaving = asyncio.create_task(collect(made, items(*[64] * 10, mark=1)))
        await stage.wait_started(2)
        staying = asyncio.create_task(collect(made, items(64, mark=2)))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert made.figures().waiting_tokens[Lane.INTERACTIVE] == 64
        stage.release()
        assert await staying == {0: 66.0}
        assert await collect(made, items(64, 64)) == {0: 64.0, 1: 64.0}
    assert stage.marks.count(1) == 2


async def test_the_room_that_callers_leave_goes_to_those_who_wait_for_it():
    """The large call's second item finds no room when its first one starts, and later nothing is left to start."""
    stage = Stage(1)
    with staged(stage, queue_tokens=1_024) as made:
        first = asyncio.create_task(collect(made, items(64)))
        await stage.wait_started(1)
        large = asyncio.create_task(collect(made, items(16, 700, mark=1), lane=Lane.BULK))
        await asyncio.sleep(0)
        leaving = [asyncio.create_task(collect(made, items(*[64] * 4), lane=Lane.BULK)) for _ in range(2)]
        await asyncio.sleep(0)
        stage.end()
        await stage.wait_started(2)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert stage.marks == [0, 1]
        stage.release()
        assert await asyncio.wait_for(large, 10) == {0: 17.0, 1: 701.0}
        await first


async def test_a_failing_batch_fails_its_own_call_only_and_no_worker_is_lost():
    stage = Stage(2)
    with staged(stage) as made:
        first = asyncio.create_task(collect(made, items(64, 64, mark=1)))
        await stage.wait_started(2)
        good = [asyncio.create_task(collect(made, items(8, mark=number))) for number in range(2, 6)]
        bad = asyncio.create_task(collect(made, items(8, 8, mark=666)))
        await asyncio.sleep(0)
        stage.release()
        with pytest.raises(InferenceFailed):
            await bad
        assert await asyncio.gather(*good) == [{0: 8.0 + number} for number in range(2, 6)]
        await first

    stage = Stage(2)
    with staged(stage) as made:
        bad = [asyncio.create_task(collect(made, items(64, mark=666))) for _ in range(4)]
        stage.end(4)
        outcomes = await asyncio.gather(*bad, return_exceptions=True)
        assert all(isinstance(outcome, InferenceFailed) for outcome in outcomes)
        task = asyncio.create_task(collect(made, items(64, 64)))
        await stage.wait_started(6)
        stage.release()
        assert await task == {0: 64.0, 1: 64.0}


async def test_closing_while_several_batches_run():
    stage = Stage(3)
    made = Scheduler(stage.runners, name="closing", budget=64, queue_tokens=4_096)
    tasks = [asyncio.create_task(collect(made, items(64))) for _ in range(5)]
    await stage.wait_started(3)
    closing = asyncio.create_task(asyncio.to_thread(made.close))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, NotReady) for outcome in outcomes)
    assert not closing.done()
    stage.release()
    await closing
    assert stage.ended == 3
    assert not any(thread.name.startswith("inference-closing") for thread in threading.enumerate())
    made.close()


async def test_closing_with_grace_drains_every_worker():
    stage = Stage(3)
    made = Scheduler(stage.runners, name="test", budget=64, queue_tokens=4_096)
    tasks = [asyncio.create_task(collect(made, items(64, 64))) for _ in range(5)]
    await stage.wait_started(3)
    closing = asyncio.create_task(asyncio.to_thread(made.close, 10.0))
    stage.release()
    assert await asyncio.gather(*tasks) == [{0: 64.0, 1: 64.0}] * 5
    await closing


def test_inference_is_the_time_in_which_any_batch_of_the_call_ran():
    call = Call.of([], lane=Lane.BULK, deliver=lambda slot, row: None, settle=lambda error: None, deadline=None)
    call.batch_started(1.0)
    call.batch_started(2.0)
    call.batch_ended(3.0)
    call.batch_ended(5.0)
    call.batch_started(10.0)
    call.batch_ended(11.0)
    assert call.waits.inference == pytest.approx(5.0)


def entry(mark: int, rows: dict[int, float], number: int = 0, length: int = 8) -> Entry[float]:
    call = Call.of([], lane=Lane.BULK, deliver=rows.__setitem__, settle=lambda error: None, deadline=None)
    return Entry(0.0, number, call, items(length, mark=mark)[0])


def test_a_batch_that_fails_is_run_again_call_by_call():
    good: dict[int, float] = {}
    bad: dict[int, float] = {}
    entries = [entry(1, good), entry(666, bad, 1, 16)]
    ran = list(run_batch(Stage(1, held=False).runners.narrow, entries, model="test"))
    assert [(each.entries, each.padded) for each in ran] == [([entries[0]], 8), ([entries[1]], 16)]
    assert ran[0].failures == [None]
    assert isinstance(ran[1].failures[0], InferenceFailed)
    assert (good, bad) == ({0: 9.0}, {})
