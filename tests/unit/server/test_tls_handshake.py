"""HTTP connections over TLS: bounded from their first moment, and closed when everything is sent."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from asyncio import sslproto
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidecar.server.connections import Connection, Connections
from sidecar.server.listeners import HttpServer, open_port
from sidecar.server.tls import handshake as module

LIMIT = 4
LARGE = 16 * 2**20

AUTHORITY = trustme.CA()


@dataclass
class Served:
    server: HttpServer
    trusting: ssl.SSLContext

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that says nothing, not even a handshake."""
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def secure(self, buffered: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=self.trusting, server_hostname="localhost", limit=buffered
        )

    async def ask(self, path: str = "/scheme", *, close: bool = True) -> bytes:
        reader, writer = await self.secure()
        last = "connection: close\r\n" if close else ""
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    @property
    def connections(self) -> Connections:
        state = self.server._server.server_state
        assert isinstance(state, Connections)
        return state

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60.0):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async def scheme(request: Request) -> Response:
        return PlainTextResponse(f"{request.url.scheme} from {request.client.host if request.client else None}")

    async def large(request: Request) -> Response:
        return Response(b"x" * LARGE)

    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(server_context)
    trusting = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
    app = Starlette(routes=[Route("/scheme", scheme), Route("/large", large)])
    server = HttpServer(app, open_port("127.0.0.1", 0, "http_port"), connections=LIMIT, tls=lambda: server_context)
    await server.start()
    running = Served(server, trusting)
    yield running
    await server.stop(1.0)


async def test_a_request_is_one_of_https_by_its_caller(served: Served) -> None:
    assert (await served.ask()).endswith(b"\r\n\r\nhttps from 127.0.0.1")
    await served.until(lambda: not served.connections.connections)


async def test_a_connection_is_used_again(served: Served) -> None:
    reader, writer = await served.secure()
    for _ in range(3):
        writer.write(b"GET /scheme HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"https from 127.0.0.1")
    assert len(served.connections.connections) == 1
    writer.close()
    await served.until(lambda: not served.connections.connections)


async def test_a_flood_without_handshakes_leaves_room_for_a_request(served: Served) -> None:
    flood = [await served.connect() for _ in range(10 * LIMIT)]
    await served.until(lambda: 0 < len(served.connections.connections) <= LIMIT)
    for _ in range(3):
        assert b" 200 " in await served.ask()
    assert await flood[0][0].read() == b"", "the first to come were the first to go"
    for _, writer in flood:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
async def test_a_connection_without_a_whole_handshake_is_closed(
    served: Served, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.1)
    reader, writer = await served.connect()
    writer.write(sent)
    async with asyncio.timeout(60.0):
        assert await reader.read() == b""
    writer.close()
    await served.until(lambda: not served.connections.connections)


async def test_what_is_no_tls_is_closed_and_forgotten(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET /scheme HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(60.0):
        assert b"HTTP" not in await reader.read()
    writer.close()
    await served.until(lambda: not served.connections.connections)


async def test_a_caller_who_leaves_in_the_middle_is_forgotten(served: Served) -> None:
    _, writer = await served.connect()
    writer.write(b"\x16\x03\x01")
    await served.until(lambda: len(served.connections.connections) == 1)
    writer.close()
    await served.until(lambda: not served.connections.connections)


async def test_a_large_answer_reaches_a_slow_reader_whole_before_the_connection_closes(served: Served) -> None:
    reader, writer = await served.secure(buffered=1_024)
    writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert f"content-length: {LARGE}".encode() in head
    await asyncio.sleep(0.5)
    assert len(await reader.read()) == LARGE
    writer.close()


async def test_a_connection_may_be_closed_twice(served: Served) -> None:
    _, writer = await served.secure()
    await served.until(lambda: any(isinstance(one, Connection) for one in served.connections.connections))
    (connection,) = served.connections.connections
    for _ in range(2):
        connection.transport.close()
    assert connection.transport.get_extra_info("peername") is not None
    assert connection.transport.get_write_buffer_size() == 0
    await served.until(lambda: not served.connections.connections)
    writer.close()


async def test_idle_connections_and_handshakes_are_no_reason_to_wait_at_the_end(served: Served) -> None:
    reader, writer = await served.secure()
    _, silent = await served.connect()
    await served.until(lambda: len(served.connections.connections) == 2)
    # A client that reads nothing never answers the server's good-bye.
    writer.transport.pause_reading()
    async with asyncio.timeout(20.0):
        await served.server.stop(grace=120.0)
    assert not served.connections.connections
    for one in (writer, silent):
        one.transport.abort()
    assert reader is not None


async def test_what_tls_took_for_a_connection_is_given_back_when_it_ends(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A quarter of a megabyte each: left to the collector, a few thousand connections are the memory of a pod.
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.2)

    def whole(said: bytes) -> None:
        with socket.create_connection(("127.0.0.1", served.server.port), timeout=60.0) as plain:
            if not said:
                assert plain.recv(1) == b""
                return
            with served.trusting.wrap_socket(plain, server_hostname="localhost") as secured:
                secured.sendall(said)
                assert secured.recv(4_096)

    def left() -> int:
        return sum(type(one) is sslproto.SSLProtocol for one in gc.get_objects())

    gc.collect()
    before = left()
    gc.disable()
    try:
        for said in (b"", b"GET /scheme HTTP/1.1\r\nhost: localhost\r\n\r\n"):
            for _ in range(3):
                await asyncio.to_thread(whole, said)
        await served.until(lambda: not served.connections.connections)
        await served.until(lambda: left() == before)
    finally:
        gc.enable()
