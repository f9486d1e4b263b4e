"""A loopback HTTP proxy in front of a real cluster that injects faults: what a network and a busy cluster do.

It forwards every request as it is. Before a request to a path that ends with `only`, it takes the next fault of its
script; when the script is at its end, everything passes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

import aiohttp
import orjson
from aiohttp import web

from sidecar.engine.bulk import GUARD_ID
from tests.support.loopback import listening

HOP_BY_HOP = {"connection", "content-length", "content-encoding", "host", "keep-alive", "transfer-encoding"}


class Cut(Enum):
    """When the connection is cut."""

    BEFORE = "before the request reached the cluster"
    AFTER = "after the cluster did it: the answer is lost"


@dataclass(frozen=True)
class Status:
    """The request is answered with this status, and never reaches the cluster."""

    status: int


@dataclass(frozen=True)
class Items:
    """Some items of a bulk (by place, modulo their number) are answered with this status, the others are done."""

    status: int
    places: frozenset[int]


@dataclass(frozen=True)
class Silence:
    """Nothing is answered for so long."""

    seconds: float


@dataclass(frozen=True)
class Shortened:
    """The answer to a bulk lacks its last document, and the guard after it, as from a proxy that lost its way."""


@dataclass(frozen=True)
class ShardLost:
    """The answer to a search, or to each of several, says that one shard failed."""


Fault = Cut | Status | Items | Silence | Shortened | ShardLost | None


@dataclass
class FaultyProxy:
    """The proxy; `requests` lists method and path of what came in, `authorizations` the header.

    `before` and `after` are awaited around what is forwarded of the paths that `only` names, with the request's body.
    """

    upstream: str
    only: str = "/_bulk"
    script: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    url: str = ""
    before: Callable[[bytes], Awaitable[None]] | None = None
    after: Callable[[bytes], Awaitable[None]] | None = None

    def play(self, faults: Iterable[Fault]) -> None:
        """Replace what is left of the script."""
        self.script = deque(faults)
        self.requests.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.authorizations.append(request.headers.get("authorization"))
        fault = self.script.popleft() if self.script and request.path.endswith(self.only) else None
        body = await request.read()
        chosen = request.path.endswith(self.only)
        if chosen and self.before is not None:
            await self.before(body)
        match fault:
            case Cut.BEFORE:
                return self.cut(request)
            case Status(status):
                return error_answer(status)
            case Silence(seconds):
                await asyncio.sleep(seconds)
                return self.cut(request)
            case Items(status, places):
                return await self.forward_some(request, body, status, places)
        status, data, kind = await self.forward(request, body)
        if chosen and self.after is not None:
            await self.after(body)
        if fault is Cut.AFTER:
            return self.cut(request)
        if isinstance(fault, Shortened):
            answer = orjson.loads(data)
            answer["items"] = answer["items"][:-2]
            data = orjson.dumps(answer)
        if isinstance(fault, ShardLost):
            answer = orjson.loads(data)
            for one in answer.get("responses", [answer]):
                one["_shards"]["failed"] = 1
            data = orjson.dumps(answer)
        return web.Response(status=status, body=data, content_type=kind)

    async def forward(self, request: web.Request, body: bytes) -> tuple[int, bytes, str]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=True) as session,
            session.request(request.method, self.upstream + request.path_qs, data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.read(), answer.content_type

    async def forward_some(
        self, request: web.Request, body: bytes, status: int, places: frozenset[int]
    ) -> web.Response:
        actions = bulk_actions(body, guards=True)
        # What guards the indices comes last, and is no document: it passes.
        refused = {place % len(bulk_actions(body)) for place in places}
        passed = [lines for place, lines in enumerate(actions) if place not in refused]
        done = iter(())
        if passed:
            _, data, _ = await self.forward(request, b"\n".join(b"\n".join(lines) for lines in passed) + b"\n")
            done = iter(orjson.loads(data)["items"])
        items = []
        for place, lines in enumerate(actions):
            if place in refused:
                ((operation, head),) = orjson.loads(lines[0]).items()
                error = {"type": "rejected_execution_exception", "reason": "injected"}
                items.append(
                    {operation: {"_index": head["_index"], "_id": head["_id"], "status": status, "error": error}}
                )
            else:
                items.append(next(done))
        return web.json_response({"took": 1, "errors": True, "items": items})

    @staticmethod
    def cut(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def error_answer(status: int) -> web.Response:
    """An error as a cluster words it."""
    error = {"type": "injected_exception", "reason": "injected"}
    return web.json_response({"error": {**error, "root_cause": [error]}, "status": status}, status=status)


def bulk_actions(body: bytes, *, guards: bool = False) -> list[list[bytes]]:
    """Split a bulk body into the lines of each action; without what only guards an index, unless `guards`."""
    lines = iter(body.splitlines())
    actions = []
    for head in lines:
        actions.append([head] if "delete" in orjson.loads(head) else [head, next(lines)])
    return [lines for lines in actions if guards or GUARD_ID.encode() not in lines[0]]


@asynccontextmanager
async def faulty_proxy(
    upstream: str, *, only: str = "/_bulk", tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[FaultyProxy]:
    """Run a proxy in the running event loop; with `tls`, it speaks https. Port 0: one of the system's choice."""
    proxy = FaultyProxy(upstream, only)
    async with listening(proxy.handle, tls=tls, port=port) as proxy.url:
        yield proxy
