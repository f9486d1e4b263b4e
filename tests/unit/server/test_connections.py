"""Connections that say nothing take no room from those that do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import orjson
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidecar.errors import SettingsInvalid
from sidecar.server import connections as module
from sidecar.server import stalls
from sidecar.server.listeners import HttpServer, open_port

LIMIT = 4

REQUEST = b"GET /now HTTP/1.1\r\nhost: here\r\n\r\n"
LARGE = 32 << 20
"""Bytes of an answer that no socket's buffers hold."""

SLOW = b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n"


@dataclass
class Served:
    """A server of two routes: one answers at once, the other when `answer` is set."""

    server: HttpServer
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def ask(self, request: bytes = REQUEST) -> bytes:
        """Send a request on a connection of its own; return the answer's head."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60.0):
            while not condition():
                await asyncio.sleep(0.01)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async def now(request: Request) -> Response:
        return PlainTextResponse("here you are")

    async def slow(request: Request) -> Response:
        running.under_way += 1
        await running.answer.wait()
        return PlainTextResponse("at last")

    async def large(request: Request) -> Response:
        return Response(bytes(LARGE))

    app = Starlette(routes=[Route("/now", now), Route("/slow", slow), Route("/large", large)])
    running = Served(HttpServer(app, open_port("127.0.0.1", 0, "http_port"), connections=LIMIT))
    await running.server.start()
    yield running
    running.answer.set()
    await running.server.stop(1.0)


def state_of(served: Served) -> module.Connections:
    state = served.server._server.server_state
    assert isinstance(state, module.Connections)
    return state


async def test_a_flood_of_silent_connections_leaves_room_for_a_request(served: Served) -> None:
    with structlog.testing.capture_logs() as logged:
        flood = [await served.connect() for _ in range(10 * LIMIT)]
        await served.until(lambda: len(state_of(served).connections) <= LIMIT)
        for _ in range(3):
            assert (await served.ask()).startswith(b"HTTP/1.1 200")
        # The first to come were the first to go; nothing was said to them.
        assert await flood[0][0].read() == b""
    for _, writer in flood:
        writer.close()
    (line,) = [line for line in logged if line["event"] == "too many connections"]
    assert (line["log_level"], line["limit"], line["port"]) == ("warning", LIMIT, served.server.port)


async def test_connections_with_a_request_under_way_keep_their_place(served: Served) -> None:
    asked = [asyncio.create_task(served.ask(SLOW)) for _ in range(LIMIT)]
    await served.until(lambda: served.under_way == LIMIT)
    reader, writer = await served.connect()
    answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in head
    assert f"content-length: {len(body)}".encode() in head
    problem = orjson.loads(body)
    assert (problem["status"], problem["reason"]) == (503, "TOO_MANY_CONNECTIONS")
    writer.close()
    served.answer.set()
    assert all(head.startswith(b"HTTP/1.1 200") for head in await asyncio.gather(*asked))
    assert (await served.ask()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"", b"GET", REQUEST[:-2]])
async def test_a_connection_without_a_whole_header_is_closed(
    served: Served, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.1)
    reader, writer = await served.connect()
    writer.write(begun)
    async with asyncio.timeout(60.0):
        assert await reader.read() == b""
    writer.close()
    await served.until(lambda: not state_of(served).connections)


async def test_an_answered_connection_has_no_longer_for_its_next_header(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.1)
    reader, writer = await served.connect()
    writer.write(REQUEST + b"GET")
    async with asyncio.timeout(60.0):
        assert (await reader.read()).endswith(b"here you are")
    writer.close()


async def test_a_request_under_way_may_take_longer_than_a_header(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.05)
    asked = asyncio.create_task(served.ask(SLOW))
    await served.until(lambda: served.under_way == 1)
    await asyncio.sleep(0.2)
    served.answer.set()
    assert (await asked).startswith(b"HTTP/1.1 200")


async def test_a_connection_is_used_again_and_leaves_nothing_behind(served: Served) -> None:
    reader, writer = await served.connect()
    for _ in range(5):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"here you are")).startswith(b"HTTP/1.1 200")
    writer.write(REQUEST * 3)
    for _ in range(3):
        assert (await reader.readuntil(b"here you are")).startswith(b"HTTP/1.1 200")
    assert len(state_of(served)._waiting) == 1
    writer.close()
    await served.until(lambda: not state_of(served).connections and not state_of(served)._waiting)


@pytest.mark.parametrize("asked", [1, 3])
async def test_who_asks_and_never_reads_is_cut_off(served: Served, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.05)
    monkeypatch.setattr(stalls, "STALL_SECONDS", 0.2)
    transports: list[asyncio.Transport] = []
    made = module.Connection.connection_made

    def connection_made(self: module.Connection, transport: asyncio.Transport) -> None:
        transports.append(transport)
        made(self, transport)

    monkeypatch.setattr(module.Connection, "connection_made", connection_made)
    with structlog.testing.capture_logs() as logged, socket.create_connection(("127.0.0.1", served.server.port)) as own:
        own.sendall(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n" * asked)
        await served.until(lambda: bool(transports) and transports[0].get_write_buffer_size() > 0)
        # What was written and not sent is gone with it.
        await served.until(lambda: not state_of(served).connections and not transports[0].get_write_buffer_size())
        await served.until(lambda: bool(logged))
        assert (await served.ask()).startswith(b"HTTP/1.1 200")
    (line,) = logged
    assert (line["log_level"], line["event"]) == ("warning", "answers are not read: connections are cut")
    assert (line["port"], line["left_out"]) == (served.server.port, 0)


async def test_who_reads_slowly_gets_everything(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.05)
    monkeypatch.setattr(stalls, "STALL_SECONDS", 1.0)
    reader, writer = await served.connect()
    writer.write(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    read = 0
    while read < LARGE:
        await asyncio.sleep(0.05)
        read += len(await reader.readexactly(min(1 << 20, LARGE - read)))
    # The time for the next request began long ago; what was asked for came all the same.
    assert await reader.read() == b""
    writer.close()


async def test_no_more_wait_to_be_accepted_than_the_limit_bears(served: Served) -> None:
    assert served.server._config.backlog == 1
    listener = open_port("127.0.0.1", 0, "http_port")
    assert HttpServer(Starlette(), listener, connections=10**6)._config.backlog == 128
    listener.close()


def test_a_port_that_is_open_is_taken_before_anything_is_served_on_it() -> None:
    first = open_port("127.0.0.1", 0, "http_port")
    with pytest.raises(SettingsInvalid) as raised:
        open_port("127.0.0.1", first.getsockname()[1], "admin_port")
    assert raised.value.field == "admin_port"
    first.close()
