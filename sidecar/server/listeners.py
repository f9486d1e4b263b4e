"""Listening sockets, and uvicorn as a part of this process instead of its owner."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from sidecar.errors import SettingsInvalid
from sidecar.server.connections import Connection, Connections
from sidecar.server.tls import Handshake

__all__ = ["HttpServer", "check_port", "open_port"]

LONGEST_BACKLOG = 128
"""Connections that wait to be accepted. asyncio takes them all in one go, whatever the limit of connections is, and
where it runs out of files it tries, and complains, once for each."""


def open_port(host: str, port: int, setting: str) -> socket.socket:
    """Open a TCP port; 0 lets the system choose. Raises SettingsInvalid, naming the setting, where it can't."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise SettingsInvalid(f"{host} is not an address of this machine ({setting}).", field=setting) from None
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        # A port two sockets are bound to is had by the one that listens first: the other would learn of it too late.
        opened.listen(1)
    except OSError as error:
        opened.close()
        raise SettingsInvalid(
            f"{setting} {port} on {host} can't be opened: {error.strerror}. Choose another, or 0.", field=setting
        ) from None
    return opened


def check_port(host: str, port: int, setting: str) -> None:
    """Raise SettingsInvalid if the port can't be opened now; better before the models are loaded than after."""
    if port:
        open_port(host, port, setting).close()


class HttpServer:
    """One ASGI application on one socket, in the running event loop; see `Connections` for their limit and their age.

    With `tls`, nothing but TLS is spoken; it is asked for the context of every new connection.

    Usage:
        server = HttpServer(app, open_port("127.0.0.1", 0, "http_port"), connections=100)
        await server.start()
        await server.stop(grace=20.0)
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        connections: int,
        max_age: float = 0.0,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._listener = listener
        self._config = uvicorn.Config(
            app,
            http=Connection if tls is None else partial(Handshake, tls),  # type: ignore[arg-type]  # called, no more
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            backlog=min(LONGEST_BACKLOG, max(1, connections // 4)),
        )
        self._connections = Connections(connections, max_age)
        self._server = _Uvicorn(self._config, self._connections)
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port's number."""
        number: int = self._listener.getsockname()[1]
        return number

    async def start(self) -> None:
        """Return when requests are taken."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise AssertionError("uvicorn ended before it began; this is a bug.")
            await asyncio.sleep(0.005)

    def announce_stop(self) -> None:
        """Serve on, and say with each answer that its connection closes: callers that keep them find another server."""
        self._connections.give_up()

    async def stop(self, grace: float) -> None:
        """Take no new request, give those under way `grace` seconds, then cancel them."""
        self.announce_stop()
        if self._serving is None:
            self._listener.close()
            return
        serving, self._serving = self._serving, None
        # 0 would make uvicorn report an overrun even when nothing was under way.
        self._config.timeout_graceful_shutdown = max(math.ceil(grace), 1)
        self._server.should_exit = True
        try:
            await serving
        finally:
            self._listener.close()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.server_state = connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The process has three servers and one order in which they stop: the lifecycle's.
        yield
