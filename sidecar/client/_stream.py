"""Encoding a long stream of batches over one call, resumed when the sidecar goes away in the middle."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grpc import aio

from sidecar.client._failures import translate
from sidecar.contract.answers import read_encode_response
from sidecar.contract.failures import read_error
from sidecar.domain import EncodeResult
from sidecar.errors import DeadlineExceeded, InvalidInput, NotReady, SidecarError, SidecarUnavailable
from sidecar.v1 import sidecar_pb2 as pb

__all__ = ["Batches", "StreamOutcome", "StreamPlan", "stream_outcomes"]

Batches: TypeAlias = Iterable[Sequence[str]] | AsyncIterable[Sequence[str]]
Call: TypeAlias = "aio.StreamStreamCall[pb.EncodeStreamRequest, pb.EncodeStreamResponse]"

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.2, 15.0


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """What became of one batch: its position in what was given, and either its result or its error."""

    position: int
    result: EncodeResult | None = None
    error: SidecarError | None = None

    def unwrap(self) -> EncodeResult:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise AssertionError("An outcome has a result or an error; this is a bug.")
        return self.result


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """How a stream is run. `in_flight` bounds the batches that are sent and unanswered, and so the memory."""

    in_flight: int
    stall_timeout: float
    resumptions: int
    target: str

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise InvalidInput("At least one batch must be in flight.", field="in_flight")


async def stream_outcomes(
    batches: Batches,
    encode: Callable[[Sequence[str]], pb.EncodeRequest],
    open_call: Callable[[], Call],
    plan: StreamPlan,
) -> AsyncGenerator[StreamOutcome, None]:
    """Send every batch, and yield outcomes as they come, in any order.

    Batches unanswered when the sidecar goes away are sent again over a new call, at most `plan.resumptions` times
    without an answer in between. Raises SidecarUnavailable after that, DeadlineExceeded when nothing is answered for
    `plan.stall_timeout` seconds, and at once what `batches` raise.
    """
    feed = _Feed(batches, encode)
    failures = 0
    try:
        while True:
            session = _Session(open_call(), feed, plan)
            try:
                async for outcome in session.outcomes():
                    failures = 0
                    yield outcome
                return
            except (SidecarUnavailable, NotReady) as error:
                failures += 1
                if failures > plan.resumptions or feed.failed:
                    raise
                await asyncio.sleep(error.retry_after or backoff_seconds(failures))
            finally:
                await session.close()
    finally:
        await feed.close()


def backoff_seconds(failures: int) -> float:
    """Return how long to leave a sidecar alone that was away so often in a row."""
    return min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))


class _Feed:
    """The batches still to come, and those that are sent but unanswered; outlives a broken call."""

    def __init__(self, batches: Batches, encode: Callable[[Sequence[str]], pb.EncodeRequest]) -> None:
        self._source = _asynchronous(batches)
        self._encode = encode
        self._position = 0
        self._fetching: asyncio.Task[pb.EncodeStreamRequest | StreamOutcome | None] | None = None
        self.exhausted = False
        self.unanswered: dict[str, pb.EncodeStreamRequest] = {}

    @property
    def failed(self) -> bool:
        """Whether the source raised, whatever it is: there is nothing more to send."""
        fetched = self._fetching
        return fetched is not None and fetched.done() and not fetched.cancelled() and fetched.exception() is not None

    def fetch(self) -> asyncio.Task[pb.EncodeStreamRequest | StreamOutcome | None]:
        """Return the task that gets the next request, or the outcome of a batch that can't be sent, or None."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._next())
        return self._fetching

    def take(self) -> pb.EncodeStreamRequest | StreamOutcome | None:
        """Return what the finished `fetch` got."""
        if self._fetching is None:
            raise AssertionError("Nothing was fetched; this is a bug.")
        fetched, self._fetching = self._fetching.result(), None
        if fetched is None:
            self.exhausted = True
        elif isinstance(fetched, pb.EncodeStreamRequest):
            self.unanswered[fetched.id] = fetched
        return fetched

    async def close(self) -> None:
        """Stop fetching."""
        await _cancel(self._fetching)
        await self._source.aclose()

    async def _next(self) -> pb.EncodeStreamRequest | StreamOutcome | None:
        try:
            texts = await anext(self._source)
        except StopAsyncIteration:
            return None
        position, self._position = self._position, self._position + 1
        try:
            return pb.EncodeStreamRequest(id=str(position), request=self._encode(texts))
        except SidecarError as error:
            return StreamOutcome(position, error=error)


class _Session:
    """One call: at any time at most one read, one write and one fetch are under way."""

    def __init__(self, call: Call, feed: _Feed, plan: StreamPlan) -> None:
        self._call = call
        self._feed = feed
        self._plan = plan
        self._outbox = deque(feed.unanswered.values())
        self._half_closed = False
        self._reading: asyncio.Task[object] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._last_answer = time.monotonic()

    async def outcomes(self) -> AsyncIterator[StreamOutcome]:
        feed = self._feed
        while True:
            tasks = self._under_way()
            done, _ = await asyncio.wait(tasks, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED)
            if self._writing in done and self._writing is not None:
                # A failed write says only that the call is over; the read that follows knows why.
                if not self._writing.cancelled():
                    self._writing.exception()
                self._writing = None
            if self._reading in done and self._reading is not None:
                answer = await self._answer(self._reading)
                self._reading = None
                if answer is None:
                    return
                yield answer
                # What the caller did with it is not the sidecar's time.
                self._last_answer = time.monotonic()
            elif not done and self._patience() == 0.0:
                raise DeadlineExceeded(
                    f"{self._plan.target} answered none of {len(feed.unanswered)} batches "
                    f"for {self._plan.stall_timeout:g} s."
                )
            if not feed.exhausted and len(feed.unanswered) < self._plan.in_flight and feed.fetch().done():
                fetched = feed.take()
                if isinstance(fetched, StreamOutcome):
                    yield fetched
                elif fetched is not None:
                    if len(feed.unanswered) == 1:
                        self._last_answer = time.monotonic()
                    self._outbox.append(fetched)

    async def close(self) -> None:
        """Leave the call, whatever its state."""
        self._call.cancel()
        await _cancel(self._reading)
        await _cancel(self._writing)

    def _under_way(self) -> set[asyncio.Task[object]]:
        feed = self._feed
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        if self._writing is None and self._outbox:
            self._writing = asyncio.create_task(self._call.write(self._outbox.popleft()))
        elif self._writing is None and feed.exhausted and not self._half_closed:
            self._half_closed = True
            self._writing = asyncio.create_task(self._call.done_writing())
        tasks: set[asyncio.Task[object]] = {self._reading}
        if self._writing is not None:
            tasks.add(self._writing)
        if not feed.exhausted and len(feed.unanswered) < self._plan.in_flight:
            tasks.add(feed.fetch())
        return tasks

    def _patience(self) -> float | None:
        if not self._feed.unanswered:
            return None
        return max(self._last_answer + self._plan.stall_timeout - time.monotonic(), 0.0)

    async def _answer(self, reading: asyncio.Task[object]) -> StreamOutcome | None:
        try:
            message = reading.result()
        except aio.AioRpcError as failure:
            raise translate(failure, self._plan.target) from None
        except asyncio.CancelledError:
            # Nobody stops reading here: the channel was closed, and gRPC cancelled its calls.
            raise SidecarUnavailable(f"The client of {self._plan.target} was closed during a stream.") from None
        if not isinstance(message, pb.EncodeStreamResponse):
            if self._feed.unanswered or not self._half_closed:
                raise SidecarUnavailable(f"{self._plan.target} ended the stream before everything was answered.")
            return None
        self._last_answer = time.monotonic()
        self._feed.unanswered.pop(message.id, None)
        if message.WhichOneof("outcome") == "error":
            return StreamOutcome(int(message.id), error=read_error(message.error))
        return StreamOutcome(int(message.id), result=read_encode_response(message.response))


async def _asynchronous(batches: Batches) -> AsyncGenerator[Sequence[str], None]:
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield batch
    else:
        for batch in batches:
            yield batch


async def _cancel(task: asyncio.Task[object] | asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
