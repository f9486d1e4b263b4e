"""The guard around every method: unexpected errors get an id and tell nothing; calls under way are counted."""

# ruff: noqa: N802 - the methods are named by the contract

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from sidecar.errors import Overloaded
from sidecar.server import incidents
from sidecar.server.grpc.guard import Authentication, Guard, InFlight
from sidecar.server.grpc.stream import EncodeStream
from sidecar.server.metrics import REGISTRY, render
from sidecar.server.repeats import Repeats
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc

SECRET = "the text of a user"

READS = "reads"
"""Metadata that makes `Failing` read a stream as the real service does."""


class Failing(rpc.ModelsServicer, rpc.SparseEncoderServicer):
    """Raises what a programming error would raise, with a user's text in its message."""

    async def List(self, request, context):
        raise ValueError(SECRET)

    async def Get(self, request, context):
        raise Overloaded("Full.", retry_after=0.25)

    async def Encode(self, request, context):
        await asyncio.sleep(60)

    async def EncodeStream(self, request_iterator, context):
        if READS in dict(context.invocation_metadata()):
            await EncodeStream(work=None, draining=asyncio.Event(), deadline=None).run(request_iterator, context.write)
        await context.write(pb.EncodeStreamResponse(id="1"))
        raise ValueError(SECRET)


@pytest.fixture
async def guarded() -> AsyncIterator[tuple[aio.Channel, InFlight]]:
    in_flight = InFlight()
    server = aio.server(interceptors=[Guard(in_flight, 1_000)])
    rpc.add_ModelsServicer_to_server(Failing(), server)
    rpc.add_SparseEncoderServicer_to_server(Failing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, in_flight
    await server.stop(0.5)


def status_of(error: aio.AioRpcError) -> status_pb2.Status:
    status = rpc_status.from_call(error)
    assert status is not None
    return status


async def test_an_unexpected_error_is_internal_and_tells_nothing(guarded) -> None:
    channel, in_flight = guarded
    with pytest.raises(aio.AioRpcError) as raised:
        await rpc.ModelsStub(channel).List(pb.ListModelsRequest())
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    status = status_of(raised.value)
    assert SECRET not in str(status)
    request = error_details_pb2.RequestInfo()
    (packed,) = [part for part in status.details if part.Is(error_details_pb2.RequestInfo.DESCRIPTOR)]
    packed.Unpack(request)
    assert request.request_id in status.message
    assert in_flight.count == 0


async def test_an_unexpected_error_ends_a_stream_the_same_way(guarded) -> None:
    channel, _ = guarded
    call = rpc.SparseEncoderStub(channel).EncodeStream()
    assert (await call.read()).id == "1"
    with pytest.raises(aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in str(status_of(raised.value))


async def test_an_error_of_ours_is_answered_as_it_is(guarded) -> None:
    channel, _ = guarded
    with pytest.raises(aio.AioRpcError) as raised:
        await rpc.ModelsStub(channel).Get(pb.GetModelRequest(name="x"))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    (packed,) = [part for part in status_of(raised.value).details if part.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    packed.Unpack(retry)
    assert retry.retry_delay.ToNanoseconds() == 250_000_000


async def test_refusals_for_overload_have_one_line_of_log_and_later_one_with_their_count(
    guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _ = guarded
    now = 0.0
    monkeypatch.setattr(incidents, "refusals", Repeats(seconds=60.0, clock=lambda: now))
    with structlog.testing.capture_logs() as logged:
        for _ in range(61):
            with pytest.raises(aio.AioRpcError):
                await rpc.ModelsStub(channel).Get(pb.GetModelRequest(name=SECRET))
        now = 60.0
        with pytest.raises(aio.AioRpcError):
            await rpc.ModelsStub(channel).Get(pb.GetModelRequest(name=SECRET))
    assert [(line["log_level"], line["left_out"]) for line in logged] == [("warning", 0), ("warning", 60)]
    assert {line["method"] for line in logged} == {"/sidecar.v1.Models/Get"}
    assert SECRET not in str(logged)


async def test_a_message_above_the_limit_is_refused_by_us(guarded) -> None:
    channel, _ = guarded
    with pytest.raises(aio.AioRpcError) as raised:
        await rpc.ModelsStub(channel).Get(pb.GetModelRequest(name="x" * 2_000))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def counted(method: str, code: str) -> float:
    labels = {"model": "", "method": method, "lane": "", "code": code}
    return REGISTRY.get_sample_value("sidecar_requests_total", labels) or 0.0


async def test_messages_that_can_not_be_read_are_counted_under_their_method(guarded) -> None:
    channel, _ = guarded
    get, stream = "/sidecar.v1.Models/Get", "/sidecar.v1.SparseEncoder/EncodeStream"
    before = counted(get, "INVALID_ARGUMENT"), counted(stream, "INVALID_ARGUMENT")
    for message in (b"\xff\xff", b"\n\x02\xff\xff", b"\n\xe8\x07" + b"x" * 1_000):
        with pytest.raises(aio.AioRpcError) as raised:
            await channel.unary_unary(get)(message)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    call = channel.stream_stream(stream)(iter([b"\xff\xff"]), metadata=((READS, "1"),))
    with pytest.raises(aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (counted(get, "INVALID_ARGUMENT"), counted(stream, "INVALID_ARGUMENT")) == (before[0] + 3, before[1] + 1)


async def test_callers_without_the_token_are_counted_and_name_no_method_of_their_own() -> None:
    server = aio.server(interceptors=[Authentication("secret"), Guard(InFlight(), 1_000)])
    rpc.add_ModelsServicer_to_server(Failing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    get = "/sidecar.v1.Models/Get"
    before = counted(get, "UNAUTHENTICATED")
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(aio.AioRpcError) as raised:
            await channel.unary_unary(get)(b"")
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(aio.AioRpcError) as raised:
            await channel.unary_unary("/sidecar.v1.Models/Xylophone")(b"")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await server.stop(0.5)
    assert counted(get, "UNAUTHENTICATED") == before + 1
    assert "Xylophone" not in render().decode()


async def test_idle_is_when_the_last_call_has_ended(guarded) -> None:
    channel, in_flight = guarded
    await asyncio.wait_for(in_flight.idle(), 1.0)
    calls = [rpc.SparseEncoderStub(channel).Encode(pb.EncodeRequest()) for _ in range(2)]
    while in_flight.count < 2:
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(in_flight.idle())
    for call in calls:
        assert not waiting.done()
        call.cancel()
    await asyncio.wait_for(waiting, 10.0)
    assert in_flight.count == 0
