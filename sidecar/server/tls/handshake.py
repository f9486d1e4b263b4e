"""HTTP connections that have yet to make a TLS handshake, and the transport they get for it.

asyncio can do both by itself (`create_server(ssl=...)`), with two flaws for a port that strangers reach: a handshake
under way is no connection to anybody, so that no limit counts it, for a minute; and a connection that is closed waits
half a minute for the other side to say good-bye, which idle clients do not, so that every drain would last its whole
grace.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import structlog
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr

from sidecar.server.connections import HEADER_SECONDS, Connection, Connections

__all__ = ["MOST_CONNECTIONS", "Handshake"]

MOST_CONNECTIONS = 512
"""Of one port: each takes 0.3 MiB, used or not, since asyncio gives each 256 KiB for what comes in."""

log = structlog.get_logger(__name__)


class Handshake(asyncio.Protocol):
    """One connection until it speaks TLS; then `Connection` takes over. Counted and bounded as connections are.

    `context` is asked once for every connection, so that each is served with the certificate of its own beginning.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        config: Config,
        server_state: Connections,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._context = context
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._early: list[bytes] = []
        self._lost = False
        self._shaking: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport
        self.server: tuple[str, int | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # The first bytes are for OpenSSL.
        self.transport.pause_reading()
        self.server = get_local_addr(self.transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn asks of one that it can `shutdown`
        self._server_state.wait(self)
        self._server_state.make_room(self)
        self._shaking = asyncio.create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        # Requests that came in one packet with the end of the handshake.
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def refuse(self) -> None:
        """There is no room: nothing can be said before the handshake."""

    def shutdown(self) -> None:
        """The server stops: who has not finished the handshake has asked for nothing yet."""
        self.transport.close()

    async def _shake_hands(self) -> None:
        secured: asyncio.Transport | None = None
        try:
            if self.transport.is_closing():
                return
            secured = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._context(), server_side=True, ssl_handshake_timeout=HEADER_SECONDS
            )
        except OSError as error:
            # A scanner, plain HTTP, a client without a certificate: nothing that a stranger does is worth a warning.
            log.debug("no handshake", reason=getattr(error, "reason", None) or type(error).__name__)
            # It leads back to itself by the frames of asyncio, and would keep their buffers until a collection.
            error.__traceback__ = None
            return
        finally:
            self._server_state.leave(self)
            self._server_state.connections.discard(self)
        # A connection that was closed under way gives no transport, or one that is of no use.
        if secured is None or secured.is_closing() or self._lost:
            return
        connection = _SecuredConnection(self._config, self._server_state, self._app_state)
        secured.set_protocol(connection)
        connection.connection_made(_Secured(secured, self.transport))
        for data in self._early:
            connection.data_received(data)


class _SecuredConnection(Connection):
    """One connection that lets go of TLS when it is over."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        cast(_Secured, self.transport).let_go()


class _Secured(asyncio.Transport):
    """A TLS transport that closes when everything is sent, whether or not the other side says good-bye too."""

    def __init__(self, secured: asyncio.Transport, raw: asyncio.Transport) -> None:
        super().__init__()
        self._secured = secured
        self._raw = raw

    def close(self) -> None:
        # asyncio's own forgets its state when it is closed a second time, and fails at the next question.
        if self._secured.is_closing():
            return
        self._secured.close()
        # What is left there waits for the raw transport's buffer; then asyncio's own limit of time holds.
        if not self._secured.get_write_buffer_size():
            self._raw.close()

    def let_go(self) -> None:
        """Keep the raw transport only, once it is closed.

        Connections and their requests lead to each other, and stay until a collection: thousands, with TLS's buffers.
        """
        self._secured = self._raw

    def is_closing(self) -> bool:
        return self._secured.is_closing()

    def abort(self) -> None:
        self._secured.abort()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._secured.write(data)

    def pause_reading(self) -> None:
        self._secured.pause_reading()

    def resume_reading(self) -> None:
        self._secured.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._secured.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._secured.get_write_buffer_size() + self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._secured.set_write_buffer_limits(high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._secured.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._secured.set_protocol(protocol)
