"""A cluster that is down is waited for by nobody, and knocked at by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from sidecar.errors import EngineUnavailable, NotReady, UnsupportedEngine
from sidecar.server.repeats import Repeats
from sidecar.server.searching import connection as module
from sidecar.server.searching import failures
from sidecar.server.searching.access import ClusterAccess
from sidecar.server.searching.connection import Connection

CLOSED = "http://127.0.0.1:1"


@asynccontextmanager
async def stranger(answer: bytes | None) -> AsyncIterator[tuple[str, list[float]]]:
    """Somebody who is no cluster: says nothing, or always the same; yields the address and when he was called."""
    calls: list[float] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(time.monotonic())
        serving.add(asyncio.current_task())
        try:
            if answer is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", calls
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def test_whoever_comes_while_nobody_answers_waits_for_the_same_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    async with stranger(None) as (address, calls):
        connection = Connection(ClusterAccess(address))
        started = time.monotonic()
        outcomes = await asyncio.gather(*(connection.engine() for _ in range(50)), return_exceptions=True)
        assert time.monotonic() - started < 3.0
        assert {type(outcome) for outcome in outcomes} == {EngineUnavailable}
        assert len(calls) == 1
        await connection.close()


async def test_a_failure_stands_for_a_moment_and_then_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.3)
    text = (
        b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    )
    async with stranger(text) as (address, calls):
        connection = Connection(ClusterAccess(address))
        for _ in range(5):
            with pytest.raises(UnsupportedEngine):
                await connection.engine()
        assert len(calls) == 1
        await asyncio.sleep(0.4)
        with pytest.raises(UnsupportedEngine):
            await connection.engine()
        assert len(calls) == 2
        await connection.close()


async def test_opening_waits_for_nothing_and_a_failure_nobody_asked_for_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "_lines", Repeats(60.0))
    with capture_logs() as lines:
        connection = Connection(ClusterAccess(CLOSED))
        started = time.monotonic()
        connection.open()
        assert time.monotonic() - started < 0.1
        while not any(line["event"] == "the cluster can't be asked" for line in lines):
            assert time.monotonic() - started < 10.0
            await asyncio.sleep(0.01)
        await connection.close()
    assert [line["log_level"] for line in lines] == ["warning"]


async def test_a_caller_who_leaves_takes_the_attempt_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    async with stranger(None) as (address, calls):
        connection = Connection(ClusterAccess(address))
        leaves, stays = asyncio.ensure_future(connection.engine()), asyncio.ensure_future(connection.engine())
        await asyncio.sleep(0.1)
        leaves.cancel()
        with pytest.raises(EngineUnavailable):
            await stays
        assert leaves.cancelled()
        assert len(calls) == 1
        await connection.close()


async def test_whoever_waits_at_the_end_is_told_and_not_cancelled() -> None:
    async with stranger(None) as (address, _):
        connection = Connection(ClusterAccess(address))
        stays, leaves = asyncio.ensure_future(connection.engine()), asyncio.ensure_future(connection.engine())
        await asyncio.sleep(0.1)
        leaves.cancel()
        await connection.close()
        with pytest.raises(NotReady):
            await stays
        with pytest.raises(asyncio.CancelledError):
            await leaves


async def test_nothing_begins_after_the_end() -> None:
    async with stranger(None) as (address, calls):
        connection = Connection(ClusterAccess(address))
        connection.open()
        await asyncio.sleep(0.1)
        await connection.close()
        await connection.close()
        with pytest.raises(NotReady) as raised:
            await connection.engine()
        assert raised.value.retry_after is not None
        assert len(calls) == 1
