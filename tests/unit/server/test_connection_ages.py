"""HTTP connections that are given up at an age, with an answer: callers come back by others, and no request is lost."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidecar.server.connections import AGE_SPREAD, Connections
from sidecar.server.listeners import HttpServer, open_port

REQUEST = b"POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\nbody"
CLOSE = b"connection: close\r\n"

Serve = Callable[..., Awaitable[HttpServer]]


async def echo(request: Request) -> Response:
    """The caller's port, and what it sent."""
    assert request.client is not None
    body = await request.body()
    if body == b"wait":
        await asyncio.sleep(0.3)
    return PlainTextResponse(f"{request.client.port} {body.decode()}")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[HttpServer] = []

    async def start(age: float, tls: ssl.SSLContext | None = None) -> HttpServer:
        app = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
        port = open_port("127.0.0.1", 0, "http_port")
        servers.append(HttpServer(app, port, connections=16, max_age=age, tls=None if tls is None else lambda: tls))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop(1.0)


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The head of the next answer, its body read too."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return head


async def test_an_old_connection_ends_with_its_next_answer(serve: Serve) -> None:
    server = await serve(0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST)
    assert CLOSE not in await answered(reader)
    await asyncio.sleep(0.4)
    assert not reader.at_eof(), "nobody is cut off between two requests"
    writer.write(REQUEST)
    head = await answered(reader)
    assert head.startswith(b"HTTP/1.1 200")
    assert head.count(CLOSE) == 1
    async with asyncio.timeout(60.0):
        assert await reader.read() == b""
    writer.close()


async def test_a_request_that_comes_in_pieces_is_told_once(serve: Serve) -> None:
    server = await serve(0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.sleep(0.1)
    for at in range(0, len(REQUEST), 20):
        writer.write(REQUEST[at : at + 20])
        await writer.drain()
        await asyncio.sleep(0.01)
    head = await answered(reader)
    assert head.count(CLOSE) == 1
    assert await reader.read() == b""
    writer.close()


async def test_requests_that_were_sent_ahead_are_answered_up_to_the_one_that_says_so(serve: Serve) -> None:
    server = await serve(0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST.replace(b"body", b"wait") + 2 * REQUEST)
    assert CLOSE not in await answered(reader)
    assert CLOSE in await answered(reader)
    assert await reader.read() == b"", "whoever reads it knows that the third was not done"
    writer.close()


async def test_without_an_age_it_stays(serve: Serve) -> None:
    server = await serve(0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(3):
        writer.write(REQUEST)
        assert CLOSE not in await answered(reader)
        await asyncio.sleep(0.05)
    writer.close()


async def test_while_the_server_leaves_every_answer_says_that_its_connection_closes(serve: Serve) -> None:
    """A kept one, one whose request is under way, and a new one: nobody sends the next request into a closed one."""
    server = await serve(0.0)
    (kept, busy) = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    kept[1].write(REQUEST)
    assert CLOSE not in await answered(kept[0])
    busy[1].write(REQUEST.replace(b"body", b"wait"))
    await asyncio.sleep(0.1)
    server.announce_stop()
    new = await asyncio.open_connection("127.0.0.1", server.port)
    for _, writer in (kept, new):
        writer.write(REQUEST)
    for reader, writer in (kept, busy, new):
        head = await answered(reader)
        assert head.startswith(b"HTTP/1.1 200")
        assert head.count(CLOSE) == 1
        async with asyncio.timeout(60.0):
            assert await reader.read() == b""
        writer.close()


async def test_what_is_under_way_when_the_server_stops_says_that_its_connection_closes(serve: Serve) -> None:
    server = await serve(0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST.replace(b"body", b"wait"))
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(server.stop(60.0))
    head = await answered(reader)
    assert head.count(CLOSE) == 1
    await stopping
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_callers_that_keep_connections_come_back_and_lose_nothing(serve: Serve, secure: bool) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await serve(0.2, context if secure else None)
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    url = f"{'https' if secure else 'http'}://127.0.0.1:{server.port}"
    ports: list[list[str]] = []
    async with httpx.AsyncClient(base_url=url, verify=trusting, trust_env=False, timeout=60.0) as client:

        async def ask(own: list[str]) -> None:
            for number in range(60):
                answer = await client.post("/echo", content=f"{number}")
                port, _, body = answer.text.partition(" ")
                assert (answer.status_code, body) == (200, f"{number}")
                own.append(port)
                await asyncio.sleep(0.02)

        ports = [[] for _ in range(4)]
        await asyncio.gather(*map(ask, ports))
    used = {port for own in ports for port in own}
    assert 4 < len(used) < 120, "kept for a while, and not for ever"


@given(st.floats(0.001, 86_400.0))
def test_ages_are_spread_by_a_tenth(age: float) -> None:
    async def drawn() -> list[float]:
        connections, now = Connections(4, age), asyncio.get_running_loop().time()
        return [connections.end_of_new() - now for _ in range(50)]

    ages = asyncio.run(drawn())
    assert min(ages) >= age * (1 - AGE_SPREAD) - 1e-6
    assert max(ages) <= age * (1 + AGE_SPREAD) + 1.0
    assert len(set(ages)) > 1


def test_no_age_is_no_end() -> None:
    assert Connections(4).end_of_new() == math.inf
