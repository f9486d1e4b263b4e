"""The scheduler with runners that are plain functions, so that tests decide how long a batch takes and what it does."""

import asyncio
import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain import Lane
from sidecar.errors import Overloaded
from sidecar.inference.scheduler import PIECE
from tests.unit.inference.scheduling import Gate, collect, items, scheduler


async def test_rows_come_back_to_their_slots():
    with scheduler(Gate()) as made:
        assert await collect(made, items(8, 16, 8)) == {0: 8.0, 1: 16.0, 2: 8.0}
        assert await collect(made, []) == {}


async def test_many_callers_at_once():
    gate = Gate()
    with scheduler(gate, queue_tokens=100_000) as made:
        answers = await asyncio.gather(
            *(
                collect(made, items(*([8, 16, 32] * 3), mark=200 + number), lane=list(Lane)[number % 3])
                for number in range(99)
            )
        )
    for number, rows in enumerate(answers):
        assert rows == {slot: float((8, 16, 32)[slot % 3] + 200 + number) for slot in range(9)}
    assert sum(len(batch) for batch in gate.batches) == 99 * 9
    assert len(gate.batches) < 99 * 9 / 2
    assert all(len(batch) * max(item.tokens for item in batch) <= 64 for batch in gate.batches)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from([8, 16, 24, 64, 100]), max_size=12), min_size=1, max_size=8))
def test_each_item_exactly_once_whatever_the_lengths(calls):
    async def everything(made):
        return await asyncio.gather(
            *(collect(made, items(*lengths, mark=100 + number)) for number, lengths in enumerate(calls))
        )

    gate = Gate()
    with scheduler(gate, queue_tokens=100_000) as made:
        answers = asyncio.run(everything(made))
    for number, (lengths, rows) in enumerate(zip(calls, answers, strict=True)):
        assert rows == {slot: float(length + 100 + number) for slot, length in enumerate(lengths)}
    ran = Counter((int(item.ids[0]), item.slot) for batch in gate.batches for item in batch)
    assert all(count == 1 for count in ran.values())
    assert all(len(b) == 1 or len(b) * max(item.tokens for item in b) <= 64 for b in gate.batches)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again():
    gate = Gate()
    with scheduler(gate, queue_tokens=256) as made:
        gate.open.clear()
        waiting = [asyncio.create_task(collect(made, items(64)))]
        await gate.wait_entered()
        waiting += [asyncio.create_task(collect(made, items(64))) for _ in range(4)]
        await asyncio.sleep(0)
        made.record(1_000, 1.0)
        started = time.monotonic()
        with pytest.raises(Overloaded) as caught:
            await collect(made, items(64))
        assert time.monotonic() - started < 0.1
        assert caught.value.retry_after == pytest.approx(0.064)
        with pytest.raises(Overloaded):
            made.check_room(Lane.INTERACTIVE)
        gate.open.set()
        assert await asyncio.gather(*waiting) == [{0: 64.0}] * 5
        assert await collect(made, items(64)) == {0: 64.0}
        made.check_room(Lane.INTERACTIVE, 256)


async def test_bulk_leaves_room_for_queries():
    gate = Gate()
    with scheduler(gate, queue_tokens=256) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64)))
        await gate.wait_entered()
        bulk = [asyncio.create_task(collect(made, items(64), lane=Lane.BULK)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await collect(made, items(64), lane=Lane.BULK)
        query = asyncio.create_task(collect(made, items(64)))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, query, *bulk)


async def test_a_call_larger_than_the_queue_is_admitted_in_pieces():
    gate = Gate()
    with scheduler(gate, queue_tokens=1_024) as made:
        gate.open.clear()
        big = asyncio.create_task(collect(made, items(*[16] * 1_000), lane=Lane.BULK))
        await gate.wait_entered()
        assert 0 < made.figures().waiting_tokens[Lane.BULK] <= PIECE * 1_024
        small = asyncio.create_task(collect(made, items(16)))
        await asyncio.sleep(0)
        gate.open.set()
        assert await small == {0: 16.0}
        assert not big.done()
        assert await big == dict.fromkeys(range(1_000), 16.0)
        assert made.figures().waiting_tokens[Lane.BULK] == 0


async def test_several_large_calls_share_the_queue():
    gate = Gate()
    with scheduler(gate, queue_tokens=1_024) as made:
        calls = [asyncio.create_task(collect(made, items(*[16] * 400), lane=Lane.BULK)) for _ in range(3)]
        assert [len(rows) for rows in await asyncio.gather(*calls)] == [400] * 3


async def test_an_item_longer_than_the_queue_still_runs():
    with scheduler(Gate(), budget=16, queue_tokens=256) as made:
        assert await collect(made, items(512, 512)) == {0: 512.0, 1: 512.0}


async def test_bulk_does_not_starve_under_a_flood_of_queries():
    gate = Gate(pause=0.001)
    with scheduler(gate, budget=64, queue_tokens=100_000) as made:
        done = asyncio.Event()

        async def flood():
            while not done.is_set():
                await collect(made, items(64, 64))

        floods = [asyncio.create_task(flood()) for _ in range(8)]
        await asyncio.sleep(0.02)
        assert len(await collect(made, items(*[64] * 5), lane=Lane.BULK)) == 5
        done.set()
        await asyncio.gather(*floods)


async def test_a_query_overtakes_bulk_work():
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        bulk = asyncio.create_task(collect(made, items(*[64] * 10, mark=1), lane=Lane.BULK))
        await gate.wait_entered()
        query = asyncio.create_task(collect(made, items(8, mark=2)))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(bulk, query)
    assert [int(batch[0].ids[0]) for batch in gate.batches[:3]] == [1, 2, 1]


async def test_waits_are_measured():
    gate = Gate(pause=0.02)
    with scheduler(gate) as made:
        waits = await made.run(items(64, 64, 64), lane=Lane.BULK, deliver=lambda slot, row: None, deadline=None)
        assert 0.04 <= waits.queue < 0.5
        assert 0.06 <= waits.inference < 0.6
        figures = made.figures()
        assert (figures.batches, figures.items, figures.padded_tokens) == (3, 3, 192)
        assert 0.06 <= figures.busy_seconds <= waits.inference
        assert 100 < figures.tokens_per_second <= 64 / 0.02


async def test_the_event_loop_stays_free_while_the_model_runs():
    gate = Gate(pause=0.1)
    with scheduler(gate) as made:
        task = asyncio.create_task(collect(made, items(64)))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
        assert ticks >= 5


def test_callers_of_several_event_loops():
    with scheduler(Gate()) as made:
        answers: list[dict[int, float]] = []
        threads = [
            threading.Thread(target=lambda: answers.append(asyncio.run(collect(made, items(*[8] * 20)))))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert answers == [dict.fromkeys(range(20), 8.0)] * 6


def test_a_loop_that_is_gone_does_not_stop_the_worker():
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()

        async def leave():
            task = asyncio.create_task(collect(made, items(64)))
            await gate.wait_entered()
            task.cancel()

        asyncio.run(leave())
        gate.open.set()
        assert asyncio.run(collect(made, items(8))) == {0: 8.0}
