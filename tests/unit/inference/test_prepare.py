"""Work in the tokenising pool, whose end is not its callers' leaving."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from sidecar.errors import NotReady
from sidecar.inference.models import INLINE_BYTES, Host, prepare
from sidecar.settings import Settings

LARGE = INLINE_BYTES + 1


@pytest.fixture
def host():
    with ThreadPoolExecutor(1) as pool:
        yield Host(Settings(), 1, pool)


async def test_little_work_needs_no_pool(host):
    host.pool.shutdown()
    assert await prepare(lambda left: 7, size=INLINE_BYTES, host=host, deadline=None) == 7


async def test_work_that_comes_after_the_end_is_told_to_come_again(host):
    host.pool.shutdown()
    with pytest.raises(NotReady) as caught:
        await prepare(lambda left: 7, size=LARGE, host=host, deadline=None)
    assert caught.value.retry_after == 1.0


async def test_work_that_waits_at_the_end_is_told_to_come_again(host):
    begun, held = Event(), Event()

    def hold(left):
        begun.set()
        assert held.wait(30.0)
        return left.is_set()

    first = asyncio.create_task(prepare(hold, size=LARGE, host=host, deadline=None))
    await asyncio.to_thread(begun.wait, 30.0)
    second = asyncio.create_task(prepare(lambda left: 7, size=LARGE, host=host, deadline=None))
    await asyncio.sleep(0)
    host.pool.shutdown(wait=False, cancel_futures=True)
    try:
        with pytest.raises(NotReady):
            await second
    finally:
        held.set()
    assert await first is False, "what was begun is finished"


async def test_a_caller_who_leaves_is_cancelled_and_says_so_to_the_work(host):
    begun, told = Event(), Event()

    def work(left):
        begun.set()
        if left.wait(30.0):
            told.set()

    call = asyncio.create_task(prepare(work, size=LARGE, host=host, deadline=None))
    await asyncio.to_thread(begun.wait, 30.0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(told.wait, 30.0)
