"""Streams: out-of-order answers by id, errors one by one, back-pressure on both sides, survival of a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

import grpc
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Lane, Pruning
from sidecar.errors import (
    EmptyText,
    InvalidInput,
    MalformedText,
    NotReady,
    SidecarError,
    SidecarUnavailable,
    UnknownModel,
)
from sidecar.server.grpc.stream import MAX_IN_FLIGHT
from sidecar.server.metrics import REGISTRY
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.support.sidecars import HEAVY_TEXT
from tests.support.streams import batches, collected

pytestmark = pytest.mark.integration

METHOD = "/sidecar.v1.SparseEncoder/EncodeStream"


async def read_all(call, into: set[str]) -> None:
    while True:
        into.add((await call.read()).id)


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


def in_flight() -> float:
    return REGISTRY.get_sample_value("sidecar_requests_in_flight", {"method": METHOD}) or 0.0


async def test_every_batch_is_answered_once_with_what_encode_gives(client: AsyncSidecarClient) -> None:
    given = batches(30)
    found = await collected(client.encode_stream(given, return_terms=True))
    assert sorted(found) == list(range(30))
    for position in (0, 7, 29):
        alone = await client.encode(given[position], return_terms=True)
        for streamed, single in zip(found[position].unwrap().encodings, alone.encodings, strict=True):
            assert streamed.vector.by_term() == pytest.approx(single.vector.by_term(), rel=1e-4)


async def test_an_empty_stream_ends_at_once(client: AsyncSidecarClient) -> None:
    assert await collected(client.encode_stream([])) == {}


async def test_an_asynchronous_source_works_too(client: AsyncSidecarClient) -> None:
    async def source() -> AsyncIterator[Sequence[str]]:
        for batch in batches(5):
            await asyncio.sleep(0)
            yield batch

    assert sorted(await collected(client.encode_stream(source()))) == [0, 1, 2, 3, 4]


async def test_one_bad_text_fails_its_batch_and_no_other(client: AsyncSidecarClient) -> None:
    given = [["fine"], ["fine", " "], ["fine"], ["\ud800"], ["fine"]]
    found = await collected(client.encode_stream(given))
    assert {position for position, outcome in found.items() if outcome.error is None} == {0, 2, 4}
    empty, malformed = found[1].error, found[3].error
    assert isinstance(empty, EmptyText)
    assert empty.field == "texts[1]"
    assert isinstance(malformed, MalformedText)
    assert malformed.field == "texts[0]"
    with pytest.raises(EmptyText):
        found[1].unwrap()


async def test_an_unknown_model_fails_every_batch_by_itself(client: AsyncSidecarClient) -> None:
    found = await collected(client.encode_stream(batches(3), model="nope"))
    assert all(isinstance(outcome.error, UnknownModel) for outcome in found.values())


async def test_a_failing_source_fails_the_stream(client: AsyncSidecarClient) -> None:
    def source():
        yield ["fine"]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await collected(client.encode_stream(source()))


@pytest.mark.parametrize("kind", [SidecarUnavailable, NotReady])
async def test_a_source_that_fails_as_a_sidecar_does_is_not_taken_for_this_one(
    client: AsyncSidecarClient, kind: type[SidecarError]
) -> None:
    """Whose batches come from another sidecar: no call is opened anew because that one went away."""

    def source():
        yield ["fine"]
        raise kind("the other one is gone")

    stream = collected(client.encode_stream(source(), resumptions=1_000))
    with pytest.raises(kind, match="the other one is gone"):
        await asyncio.wait_for(stream, 30.0)


async def test_in_flight_must_be_positive(client: AsyncSidecarClient) -> None:
    with pytest.raises(InvalidInput):
        client.encode_stream([["a"]], in_flight=0)


async def test_batches_are_read_no_further_ahead_than_agreed(client: AsyncSidecarClient) -> None:
    read = answered = furthest = 0

    async def source() -> AsyncIterator[Sequence[str]]:
        nonlocal read, furthest
        for batch in batches(40):
            read += 1
            furthest = max(furthest, read - answered)
            yield batch

    async for _ in client.encode_stream(source(), in_flight=4):
        answered += 1
    assert answered == 40
    assert furthest <= 4 + 1  # the one being fetched


def test_ids_are_the_callers_own(channel: grpc.Channel) -> None:
    ids = ["", "a", "a", "ü", "x" * 1_000]
    requests = [pb.EncodeStreamRequest(id=each, request=pb.EncodeRequest(texts=["some text"])) for each in ids]
    answers = list(rpc.SparseEncoderStub(channel).EncodeStream(iter(requests)))
    assert sorted(answer.id for answer in answers) == sorted(ids)
    assert all(answer.WhichOneof("outcome") == "response" for answer in answers)


def test_an_item_error_has_code_reason_field_and_message(channel: grpc.Channel) -> None:
    request = pb.EncodeStreamRequest(id="1", request=pb.EncodeRequest(texts=["fine", ""]))
    (answer,) = rpc.SparseEncoderStub(channel).EncodeStream(iter([request]))
    assert (answer.error.code, answer.error.reason, answer.error.field) == (3, "EMPTY_TEXT", "texts[1]")
    assert answer.error.message
    assert answer.error.retry_after_ms == 0


def test_a_stream_has_a_deadline_if_its_caller_gives_one(channel: grpc.Channel) -> None:
    requests = (
        pb.EncodeStreamRequest(id=str(n), request=pb.EncodeRequest(texts=[HEAVY_TEXT] * 500)) for n in range(50)
    )
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        for _ in rpc.SparseEncoderStub(channel).EncodeStream(requests, timeout=1.0):
            pass
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 10.0


async def test_streams_go_into_the_bulk_lane_unless_told_otherwise(start_sidecar) -> None:
    sidecar = await start_sidecar()

    def counted(lane: str) -> float:
        labels = {"model": "tiny-sparse", "method": METHOD, "lane": lane, "code": "OK"}
        return REGISTRY.get_sample_value("sidecar_requests_total", labels) or 0.0

    before = counted("bulk"), counted("interactive")
    async with AsyncSidecarClient(sidecar.target) as client:
        await collected(client.encode_stream(batches(2)))
        await collected(client.encode_stream(batches(3), lane=Lane.INTERACTIVE))
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        request = pb.EncodeStreamRequest(request=pb.EncodeRequest(texts=["a"]))
        async for _ in rpc.SparseEncoderStub(channel).EncodeStream(iter([request])):
            pass
    assert (counted("bulk") - before[0], counted("interactive") - before[1]) == (3, 3)


async def test_the_server_works_on_a_bounded_number_of_requests(start_sidecar) -> None:
    sidecar = await start_sidecar()
    most = 0.0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, in_flight())
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    async with AsyncSidecarClient(sidecar.target) as client:
        found = await collected(client.encode_stream([[HEAVY_TEXT] * 8 for _ in range(60)], in_flight=60))
    watching.cancel()
    assert len(found) == 60
    assert 1 < most <= MAX_IN_FLIGHT


async def test_a_caller_that_does_not_read_is_not_served_on(start_sidecar) -> None:
    sidecar = await start_sidecar()
    total = 200

    def answered() -> float:
        labels = {"model": "tiny-sparse", "method": METHOD, "lane": "bulk", "code": "OK"}
        return REGISTRY.get_sample_value("sidecar_requests_total", labels) or 0.0

    before = answered()
    # Answers large enough that the connection's buffers hold few of them.
    request = pb.EncodeRequest(
        texts=["some text of mine"] * 400, pruning=pb.Pruning(type=pb.Pruning.TYPE_NONE), return_terms=True
    )
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        call = rpc.SparseEncoderStub(channel).EncodeStream()

        async def send() -> None:
            for number in range(total):
                await call.write(pb.EncodeStreamRequest(id=str(number), request=request))
            await call.done_writing()

        sending = asyncio.create_task(send())
        await eventually(lambda: answered() - before >= 1)
        progress = -1.0
        while answered() - before != progress:
            progress = answered() - before
            await asyncio.sleep(1.0)
        assert progress < total * 0.75
        ids = set()
        while (answer := await call.read()) is not grpc.aio.EOF:
            ids.add(answer.id)
        await sending
    assert ids == {str(number) for number in range(total)}


async def test_a_full_queue_holds_the_stream_up_and_fails_nothing(start_sidecar) -> None:
    sidecar = await start_sidecar(max_batch_tokens=256, max_queue_tokens=512)
    async with AsyncSidecarClient(sidecar.target) as client:
        found = await collected(client.encode_stream([[HEAVY_TEXT] * 4 for _ in range(30)], in_flight=20))
    assert [outcome.error for outcome in found.values()] == [None] * 30


async def test_leaving_early_drops_the_work(start_sidecar) -> None:
    sidecar = await start_sidecar()
    async with AsyncSidecarClient(sidecar.target) as client:
        async with aclosing(client.encode_stream([[HEAVY_TEXT] * 20 for _ in range(500)])) as outcomes:
            async for _ in outcomes:
                break
        await eventually(lambda: in_flight() == 0)
        assert (await client.encode(["still there"], pruning=Pruning())).encodings


async def test_a_drain_answers_what_was_read_and_says_that_it_leaves(start_sidecar) -> None:
    sidecar = await start_sidecar(drain_grace=60.0)
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        call = rpc.SparseEncoderStub(channel).EncodeStream()
        for number in range(3):
            request = pb.EncodeStreamRequest(id=str(number), request=pb.EncodeRequest(texts=[HEAVY_TEXT] * 10))
            await call.write(request)
        await eventually(lambda: in_flight() > 0)
        begin = time.monotonic()
        stopping = asyncio.create_task(sidecar.lifecycle.stop())
        answered: set[str] = set()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await read_all(call, answered)
        await stopping
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "0" in answered
    # The caller never closed its stream; the drain must not wait for that.
    assert time.monotonic() - begin < 30.0


async def test_without_resumption_a_drain_is_raised(start_sidecar) -> None:
    sidecar = await start_sidecar()
    client = AsyncSidecarClient(sidecar.target)

    async def source() -> AsyncIterator[Sequence[str]]:
        yield ["some text"]
        await sidecar.lifecycle.stop()
        await asyncio.sleep(60)
        yield ["never"]

    with pytest.raises((NotReady, SidecarUnavailable)):
        await collected(client.encode_stream(source(), resumptions=0))
    await client.close()


async def test_calls_cut_off_by_a_sidecar_that_goes_away_count_as_unavailable(start_sidecar) -> None:
    sidecar = await start_sidecar()
    async with AsyncSidecarClient(sidecar.target) as client:

        async def leave() -> None:
            await eventually(lambda: in_flight() > 0)
            await sidecar.lifecycle.abandon()

        leaving = asyncio.create_task(leave())
        with pytest.raises((NotReady, SidecarUnavailable)):
            await collected(client.encode_stream([[HEAVY_TEXT] * 50 for _ in range(100)], resumptions=0))
        await leaving
