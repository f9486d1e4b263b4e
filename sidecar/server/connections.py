"""The connections of an HTTP port: how many there may be, and how long one may stay, with requests or without.

A caller needs no token to connect. Whoever opens connections and says nothing must not take the files that the probes,
and callers with something to ask, need.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict
from typing import Protocol

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from sidecar.server.http.problems import Problem, problem_json
from sidecar.server.repeats import Repeats
from sidecar.server.stalls import StallWatch

__all__ = ["HEADER_SECONDS", "Connection", "Connections", "Waiting"]

HEADER_SECONDS = 10.0
"""How long a connection may take to send the next request's whole header."""

AGE_SPREAD = 0.1
"""Of the age, more or less, as gRPC draws it: callers that came together do not all come back together."""

REPEAT_SECONDS = 60.0

NO_ROOM = Problem(
    503,
    "TOO_MANY_CONNECTIONS",
    "Every connection that this port takes has a request under way: use fewer, or try again.",
    retry_after=1.0,
)

log = structlog.get_logger(__name__)


class Waiting(Protocol):
    """Who may wait for a request: a connection, or one that is to be."""

    transport: asyncio.Transport
    server: tuple[str, int | None] | None

    def refuse(self) -> None:
        """Say that there is no room."""


class Connections(ServerState):
    """All connections of one port, and which of them wait for a request, the longest first.

    `limit` is how many there may be: one more takes the place of the one that has waited longest. Where none waits,
    the new one is answered with 503. After `max_age` seconds (0: never) a connection is given up with its next answer,
    and so are all of them while the server leaves.
    """

    def __init__(self, limit: int, max_age: float = 0.0) -> None:
        super().__init__()
        self._limit = limit
        self._max_age = max_age
        self._leaving = False
        self._waiting: OrderedDict[Waiting, asyncio.TimerHandle] = OrderedDict()
        self._repeats = Repeats(REPEAT_SECONDS)

    def end_of_new(self) -> float:
        """Return when, by the event loop's clock, a connection that comes now is to be given up."""
        if self._leaving:
            return -math.inf
        if not self._max_age:
            return math.inf
        return asyncio.get_running_loop().time() + self._max_age * random.uniform(1 - AGE_SPREAD, 1 + AGE_SPREAD)

    def give_up(self) -> None:
        """From now on every answer says that it is the last one of its connection, those under way included."""
        self._leaving = True
        for connection in list(self.connections):
            if isinstance(connection, Connection):
                connection.give_up()

    def wait(self, connection: Waiting) -> None:
        """A connection is new, or has its answer: it may take HEADER_SECONDS to bring a request."""
        self.leave(connection)
        self._waiting[connection] = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._close, connection)

    def leave(self, connection: Waiting) -> None:
        """A connection has brought a request, or is closed."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def make_room(self, newcomer: Waiting) -> None:
        """Keep to the limit after `newcomer` came."""
        if len(self.connections) <= self._limit:
            return
        left_out = self._repeats.worth_a_line("full")
        if left_out is not None:
            port = newcomer.server[1] if newcomer.server else None
            log.warning("too many connections", port=port, limit=self._limit, left_out=left_out)
        oldest = next(iter(self._waiting))
        if oldest is newcomer:
            newcomer.refuse()
        self._close(oldest)

    def note_stall(self, connection: Waiting) -> None:
        """A caller took nothing of its answer for so long that its connection was cut."""
        left_out = self._repeats.worth_a_line("stalled")
        if left_out is not None:
            port = connection.server[1] if connection.server else None
            log.warning("answers are not read: connections are cut", port=port, left_out=left_out)

    def _close(self, connection: Waiting) -> None:
        self.leave(connection)
        self.connections.discard(connection)
        connection.transport.close()


class Connection(H11Protocol):
    """One connection, which tells `Connections` what it is doing.

    uvicorn's own limit of time, for connections that had an answer, ends at the first byte of the next request.
    """

    server_state: Connections

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.server_state = server_state

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._stall = StallWatch(transport, self._on_stall)
        self._end = self.server_state.end_of_new()
        self.server_state.wait(self)
        self.server_state.make_room(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_request:
            self.server_state.leave(self)

    def handle_events(self) -> None:
        super().handle_events()
        self._say_close_when_over()

    def give_up(self) -> None:
        """Say with the next answer that it is the last one; one that has begun can't say it any more."""
        self._end = -math.inf
        self._say_close_when_over()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._stall.begin()
        if not self._has_request and not self.transport.is_closing():
            self.server_state.wait(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.end()
        self.server_state.leave(self)
        super().connection_lost(exc)

    def refuse(self) -> None:
        """Answer a request that was not read yet: there is no room for it."""
        response = problem_json(NO_ROOM)
        head = [b"HTTP/1.1 503 Service Unavailable", b"connection: close"]
        head.extend(name + b": " + value for name, value in response.raw_headers)
        self.transport.write(b"\r\n".join((*head, b"", bytes(response.body))))

    def _say_close_when_over(self) -> None:
        # Said with an answer, nobody's next request is lost; closed between two, it may be on its way.
        if self._has_request and self.loop.time() >= self._end and CLOSE_HEADER not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, CLOSE_HEADER]

    def _on_stall(self) -> None:
        self.server_state.note_stall(self)

    @property
    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
