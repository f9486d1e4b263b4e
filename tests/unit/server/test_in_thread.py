"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sidecar.server.in_thread import in_thread


async def test_what_the_work_returns_or_raises_arrives() -> None:
    assert await in_thread(lambda: threading.current_thread().daemon)

    def fails() -> None:
        raise KeyError("what")

    with pytest.raises(KeyError, match="what"):
        await in_thread(fails)


async def test_the_loop_goes_on_meanwhile_and_who_waits_may_leave() -> None:
    going_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        going_on.wait(60.0)
        ended.set()

    waiting = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    going_on.set()
    assert await asyncio.to_thread(ended.wait, 60.0), "the thread is left to itself"
