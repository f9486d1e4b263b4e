"""Several sources as one, and the two halves of a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import pytest

from sidecar.cluster.pipeline import feed_and_write, merged
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
