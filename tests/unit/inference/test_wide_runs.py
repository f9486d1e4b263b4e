"""A lone long text runs on every thread, and nothing beside it; and how busy the threads were is counted."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain import Lane
from sidecar.inference import workers as workers_module
from sidecar.inference.workers import WIDE_TOKENS
from tests.unit.inference.scheduling import collect, items
from tests.unit.inference.stage import Stage, staged


async def test_a_lone_long_text_gets_every_thread():
    stage = Stage(2, held=False, wide=True)
    with staged(stage) as made:
        for lengths in ([WIDE_TOKENS], [WIDE_TOKENS - 64], [16], [WIDE_TOKENS] * 2):
            assert len(await collect(made, items(*lengths))) == len(lengths)
    threads = [(threads, batch[0].tokens) for threads, batch in stage.started]
    # Of two texts the second may find the first one through, and be alone.
    assert threads[:4] == [(2, WIDE_TOKENS), (1, WIDE_TOKENS - 64), (1, 16), (1, WIDE_TOKENS)]
    assert stage.most <= 2


async def test_beside_a_wide_run_nothing_starts_and_after_it_everything():
    stage = Stage(2, wide=True)
    with staged(stage) as made:
        long = asyncio.create_task(collect(made, items(512, mark=1)))
        await stage.wait_started(1)
        others = [asyncio.create_task(collect(made, items(512, mark=number))) for number in range(2, 5)]
        await asyncio.sleep(0)
        await stage.wait_started(1)
        stage.end()
        await stage.wait_started(3)
        stage.release()
        await asyncio.gather(long, *others)
    assert [threads for threads, _ in stage.started][:3] == [2, 1, 1]
    assert stage.most == 2


async def test_a_long_text_beside_another_batch_gets_one_thread():
    stage = Stage(2, wide=True)
    with staged(stage) as made:
        short = asyncio.create_task(collect(made, items(8)))
        await stage.wait_started(1)
        long = asyncio.create_task(collect(made, items(512)))
        await stage.wait_started(2)
        assert [threads for threads, _ in stage.started] == [1, 1]
        stage.release()
        await asyncio.gather(short, long)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(st.lists(st.sampled_from([8, 64, WIDE_TOKENS, 512]), min_size=1, max_size=6), min_size=1, max_size=8),
)
def test_never_more_threads_than_there_are_whatever_comes(workers, calls):
    async def everything(made):
        answers = []
        for number, lengths in enumerate(calls):
            answers.append(
                asyncio.create_task(collect(made, items(*lengths, mark=number), lane=list(Lane)[number % 3]))
            )
            await asyncio.sleep(0)
        return await asyncio.gather(*answers)

    stage = Stage(workers, held=False, wide=workers > 1)
    with staged(stage) as made:
        answers = asyncio.run(everything(made))
    for number, (lengths, rows) in enumerate(zip(calls, answers, strict=True)):
        assert rows == {slot: float(length + number) for slot, length in enumerate(lengths)}
    assert stage.most <= workers
    assert sum(len(batch) for _, batch in stage.started) == sum(len(lengths) for lengths in calls)


class HalfSeconds:
    """A clock by which every run takes half a second, whichever thread it is in."""

    def __init__(self) -> None:
        self._local = threading.local()

    def perf_counter(self) -> float:
        self._local.now = getattr(self._local, "now", 0.0) + 0.5
        return self._local.now


@pytest.mark.parametrize(
    ("workers", "length", "busy", "rate"), [(1, 64, 4.0, 128), (2, 64, 4.0, 256), (4, 64, 4.0, 512)]
)
async def test_the_throughput_is_that_of_all_workers(monkeypatch, workers, length, busy, rate):
    monkeypatch.setattr(workers_module, "time", HalfSeconds())
    with staged(Stage(workers, held=False)) as made:
        await collect(made, items(*[length] * 8))
        figures = made.figures()
    assert (figures.batches, figures.padded_tokens) == (8, 8 * length)
    assert figures.busy_seconds == pytest.approx(busy)
    assert figures.tokens_per_second == pytest.approx(rate)


async def test_a_wide_run_keeps_every_thread_busy(monkeypatch):
    monkeypatch.setattr(workers_module, "time", HalfSeconds())
    with staged(Stage(2, held=False, wide=True)) as made:
        await collect(made, items(512))
        figures = made.figures()
    assert figures.busy_seconds == pytest.approx(1.0)
    assert figures.tokens_per_second == pytest.approx(1_024)
