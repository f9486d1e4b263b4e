"""What one request may ask of the inference service, with its deadline, its metrics and its caller's patience."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import Request
from starlette.types import Receive

from sidecar.domain import EncodeResult, Lane, ModelKind, Pruning, RerankResult, Side, Windows
from sidecar.errors import Cancelled, InvalidInput
from sidecar.inference import InferenceService
from sidecar.server.http.answers import REQUEST_TIMEOUT
from sidecar.server.metrics import Call
from sidecar.server.searching import SearchService
from sidecar.server.state import ServerState
from sidecar.settings import Settings

__all__ = ["CurrentWork", "Edge", "Work", "deadline_of", "until_disconnect"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Edge:
    """What all routes share; found at `app.state.edge`."""

    service: InferenceService
    settings: Settings
    state: ServerState
    searching: SearchService | None = None
    """None: no cluster is searched."""


@dataclass(frozen=True, slots=True)
class Work:
    """One request's way to the service. `deadline` is in absolute `time.monotonic()` seconds."""

    edge: Edge
    call: Call
    deadline: float
    request_id: str

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        lane: Lane,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = Windows(),  # noqa: B008 - frozen
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
    ) -> EncodeResult:
        """Encode, and record what came out."""
        self.call.lane, self.call.deadline = str(lane), self.deadline
        self.call.addressed(model, ModelKind.SPARSE_ENCODER, self.edge.service.models())
        result = await self.edge.service.encode(
            texts,
            side=side,
            model=model,
            pruning=pruning,
            windows=windows,
            lane=lane,
            return_terms=return_terms,
            expected_fingerprint=expected_fingerprint,
            deadline=self.deadline,
        )
        self.call.encoded(result, side)
        return result

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        lane: Lane = Lane.RERANK,
        model: str | None = None,
        windows: Windows = Windows(),  # noqa: B008 - frozen
        expected_fingerprint: str | None = None,
    ) -> RerankResult:
        """Score every document, and record what came out."""
        self.call.lane, self.call.deadline = str(lane), self.deadline
        self.call.addressed(model, ModelKind.CROSS_ENCODER, self.edge.service.models())
        result = await self.edge.service.rerank(
            query,
            documents,
            model=model,
            windows=windows,
            lane=lane,
            expected_fingerprint=expected_fingerprint,
            deadline=self.deadline,
        )
        self.call.reranked(result)
        return result


async def _current_work(request: Request) -> Work:
    work: Work = request.state.work
    return work


CurrentWork = Annotated[Work, Depends(_current_work)]
"""The parameter type by which an endpoint asks for its request's Work."""


def deadline_of(request: Request, default: float) -> float:
    """Return when the caller stops waiting: now plus the header's seconds, or plus `default`."""
    given = request.headers.get(REQUEST_TIMEOUT)
    if given is None:
        return time.monotonic() + default
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidInput("The timeout is a number of seconds > 0, e.g. 2.5.", field=REQUEST_TIMEOUT)
    return time.monotonic() + seconds


async def until_disconnect(receive: Receive, work: Coroutine[object, object, Answer]) -> Answer:
    """Return the result of `work`, or cancel it and raise Cancelled as soon as the caller hangs up.

    The request's body must have been read: the next thing `receive` yields is the disconnect.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Cancelled("The caller left before the answer was there.")
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
