"""EncodeStream: many requests over one call, answered as they are done, with back-pressure both ways."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from sidecar.contract.calls import EncodeCall, read_encode_request
from sidecar.contract.failures import write_error
from sidecar.domain import Lane
from sidecar.errors import NotReady, Overloaded, SidecarError
from sidecar.server.grpc.work import Work
from sidecar.server.incidents import internal_error
from sidecar.server.metrics import Call, observe
from sidecar.v1 import sidecar_pb2 as pb

__all__ = ["MAX_IN_FLIGHT", "EncodeStream"]

MAX_IN_FLIGHT = 8
"""Requests of one stream that are worked on or wait to be written; no further one is read meanwhile."""

METHOD = "/sidecar.v1.SparseEncoder/EncodeStream"

Write = Callable[[pb.EncodeStreamResponse], Awaitable[None]]


class EncodeStream:
    """One stream. A full queue is not an error here: the request waits, keeps its place, and the caller is held up."""

    def __init__(
        self, work: Work, draining: asyncio.Event, deadline: float | None, trace: Mapping[str, str] | None = None
    ) -> None:
        """`trace`: what log lines say of the call, as by `log_ids`."""
        self._work = work
        self._draining = draining
        self._deadline = deadline
        self._trace = trace or {}

    async def run(self, requests: AsyncIterator[pb.EncodeStreamRequest], write: Write) -> None:
        """Answer every request, until the caller sends no more.

        Raises NotReady when the sidecar drains: requests read by then are answered, the others were never read.
        """
        workers: set[asyncio.Task[pb.EncodeStreamResponse]] = set()
        drained = asyncio.create_task(self._draining.wait())
        reading: asyncio.Task[pb.EncodeStreamRequest | None] | None = None
        exhausted = False
        try:
            while True:
                if reading is None and not exhausted and not drained.done() and len(workers) < MAX_IN_FLIGHT:
                    reading = asyncio.create_task(_next(requests))
                if drained.done() and not exhausted and not workers:
                    raise NotReady("The sidecar is shutting down: send what is unanswered elsewhere.", retry_after=1.0)
                if exhausted and not workers:
                    return
                waiting: set[asyncio.Task[object]] = {*workers}
                if reading is not None:
                    waiting.add(reading)
                if not drained.done():
                    waiting.add(drained)
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for worker in workers & done:
                    workers.discard(worker)
                    await write(worker.result())
                if reading is not None and reading.done():
                    request, reading = reading.result(), None
                    if request is None:
                        exhausted = True
                    else:
                        workers.add(asyncio.create_task(self._answer(request)))
                elif reading is not None and drained.done():
                    await _cancel(reading)
                    reading = None
        finally:
            await _cancel(drained, *workers, *(() if reading is None else (reading,)))

    async def _answer(self, request: pb.EncodeStreamRequest) -> pb.EncodeStreamResponse:
        try:
            with observe(METHOD) as call:
                asked = read_encode_request(request.request, default_lane=Lane.BULK)
                return pb.EncodeStreamResponse(id=request.id, response=await self._encode(asked, call))
        except SidecarError as error:
            return pb.EncodeStreamResponse(id=request.id, error=write_error(error))
        except Exception as error:
            failed, _ = internal_error(error, METHOD, self._trace)
            return pb.EncodeStreamResponse(id=request.id, error=write_error(failed))

    async def _encode(self, asked: EncodeCall, call: Call) -> pb.EncodeResponse:
        while True:
            try:
                return await self._work.encode(asked, self._deadline, call)
            except Overloaded as error:
                wait = (error.retry_after or 1.0) * (1.0 + random.random() / 2)
                if self._draining.is_set() or (self._deadline is not None and time.monotonic() + wait > self._deadline):
                    raise
            await asyncio.sleep(wait)


async def _next(requests: AsyncIterator[pb.EncodeStreamRequest]) -> pb.EncodeStreamRequest | None:
    request: pb.EncodeStreamRequest | SidecarError | None = await anext(requests, None)
    # What the guard could not read stands in the stream as the error that says why.
    if isinstance(request, SidecarError):
        with observe(METHOD):
            raise request
    return request


async def _cancel(*tasks: asyncio.Task[object] | asyncio.Task[bool]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
