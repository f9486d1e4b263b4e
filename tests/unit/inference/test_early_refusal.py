"""Calls that would be too late are refused before they cost anything."""

import asyncio
import time

import pytest

from sidecar.domain import Lane
from sidecar.errors import DeadlineExceeded, Overloaded
from sidecar.inference import throughput
from tests.unit.inference.scheduling import Gate, collect, items, scheduler


async def test_a_call_that_can_not_make_its_deadline_is_refused_before_it_waits():
    gate = Gate()
    with scheduler(gate) as made:
        made.record(1_000, 10.0)
        with pytest.raises(DeadlineExceeded, match=r"about 6\.4 s"):
            await collect(made, items(64, 512, 64), deadline=time.monotonic() + 3.0)
        assert await collect(made, items(64), deadline=time.monotonic() + 30.0) == {0: 64.0}
    assert len(gate.batches) == 1


async def test_a_call_that_the_queue_makes_late_is_told_when_to_come_again():
    gate = Gate()
    with scheduler(gate, queue_tokens=100_000) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64, mark=1)))
        await gate.wait_entered()
        above = asyncio.create_task(collect(made, items(*[64] * 100), lane=Lane.INTERACTIVE))
        while made.figures().waiting_tokens[Lane.INTERACTIVE] < 6_400:
            await asyncio.sleep(0.001)
        made.record(64_000, 640.0)
        with pytest.raises(Overloaded) as caught:
            await collect(made, items(64), lane=Lane.RERANK, deadline=time.monotonic() + 1.5)
        # A fifth of what runs is the lane's own, so no more than four times as much comes first.
        assert caught.value.retry_after == pytest.approx(5 * 0.64 - 1.5, abs=0.2)
        patient = asyncio.create_task(collect(made, items(64), lane=Lane.RERANK, deadline=time.monotonic() + 30.0))
        gate.open.set()
        assert await patient == {0: 64.0}
        await asyncio.gather(first, above)


async def test_a_short_call_does_not_wait_for_the_whole_of_a_long_one_of_its_lane():
    gate = Gate()
    with scheduler(gate, queue_tokens=100_000) as made:
        gate.open.clear()
        long = asyncio.create_task(collect(made, items(*[64] * 100), lane=Lane.BULK))
        await gate.wait_entered()
        made.record(64_000, 640.0)
        short = asyncio.create_task(collect(made, items(64), lane=Lane.BULK, deadline=time.monotonic() + 30.0))
        await asyncio.sleep(0)
        gate.open.set()
        assert await short == {0: 64.0}
        await long


async def test_a_throughput_that_was_once_bad_does_not_refuse_for_ever(monkeypatch):
    with scheduler(Gate()) as made:
        made.record(1, 1_000.0)
        with pytest.raises(DeadlineExceeded):
            await collect(made, items(64), deadline=time.monotonic() + 30.0)
        monkeypatch.setattr(throughput, "FRESH_SECONDS", 0.0)
        assert await collect(made, items(64), deadline=time.monotonic() + 30.0) == {0: 64.0}
        monkeypatch.undo()
        # What it showed is believed at once, not only after as many runs as were bad.
        assert await collect(made, items(*[64] * 20), deadline=time.monotonic() + 30.0)


async def test_an_old_throughput_still_counts_where_something_runs(monkeypatch):
    gate = Gate()
    with scheduler(gate) as made:
        gate.open.clear()
        first = asyncio.create_task(collect(made, items(64, mark=1)))
        await gate.wait_entered()
        made.record(1, 1_000.0)
        monkeypatch.setattr(throughput, "FRESH_SECONDS", 0.0)
        with pytest.raises(DeadlineExceeded):
            await collect(made, items(64), deadline=time.monotonic() + 30.0)
        gate.open.set()
        await first


async def test_nothing_is_refused_for_a_throughput_that_nobody_measured():
    with scheduler(Gate()) as made:
        assert len(await collect(made, items(*[64] * 50), deadline=time.monotonic() + 5.0)) == 50
