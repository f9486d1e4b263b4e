"""Several sources as one, and the two halves of a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import pytest
from anyio import create_memory_object_stream
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.pipeline import feed_and_write, filled, merged
from sidecar.errors import EngineUnavailable


async def numbers(start: int, count: int) -> AsyncGenerator[int, None]:
    for number in range(start, start + count):
        await asyncio.sleep(0)
        yield number


async def broken() -> AsyncGenerator[int, None]:
    yield 1
    raise EngineUnavailable("gone")


async def endless() -> AsyncGenerator[int, None]:
    while True:
        await asyncio.sleep(0)
        yield 0


async def test_all_that_all_sources_yield() -> None:
    sources = [partial(numbers, 100 * place, 10 * place) for place in range(4)]
    found = [item async for item in merged(sources)]
    assert sorted(found) == sorted(100 * place + n for place in range(4) for n in range(10 * place))
    for place in range(4):
        mine = [item for item in found if item // 100 == place]
        assert mine == sorted(mine), "each source keeps its order"


async def test_one_that_fails_does_not_wait_for_the_others() -> None:
    with pytest.raises(EngineUnavailable):
        _ = [item async for item in merged([broken, endless])]


async def test_leaving_early_ends_the_sources() -> None:
    before = len(asyncio.all_tasks())
    async with aclosing(merged([endless, endless])) as items:
        async for _ in items:
            break
    assert len(asyncio.all_tasks()) == before


async def test_a_writer_that_fails_ends_the_feed() -> None:
    ended: list[str] = []

    async def feed() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("feed")

    async def write() -> None:
        raise EngineUnavailable("gone")

    with pytest.raises(EngineUnavailable):
        await feed_and_write(feed(), write())
    assert ended == ["feed"]


async def test_a_feed_that_fails_lets_the_writer_finish() -> None:
    done: list[str] = []

    async def feed() -> None:
        raise EngineUnavailable("gone")

    async def write() -> None:
        await asyncio.sleep(0.01)
        done.append("written")

    with pytest.raises(EngineUnavailable):
        await feed_and_write(feed(), write())
    assert done == ["written"]


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=6), st.integers(1, 12))
async def test_what_waits_is_taken_until_it_is_enough(waiting: list[list[int]], enough: int) -> None:
    inlet, outlet = create_memory_object_stream[list[int]](10)
    with inlet, outlet:
        for items in waiting:
            inlet.send_nowait(items)
        first = [0]
        taken = filled(first, outlet, enough)
        left = outlet.statistics().current_buffer_used
    whole = [0, *(item for items in waiting for item in items)]
    assert taken == whole[: len(taken)]
    assert len(taken) >= min(enough, len(whole))
    assert left == 0 or len(taken) >= enough
    assert first == [0], "the caller's own list stays as it is"


async def test_a_queue_that_is_closed_gives_what_it_has() -> None:
    inlet, outlet = create_memory_object_stream[list[int]](10)
    with outlet:
        with inlet:
            inlet.send_nowait([1, 2])
        assert filled([0], outlet, 100) == [0, 1, 2]
        assert filled([3], outlet, 100) == [3]
