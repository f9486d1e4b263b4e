"""Deadlines, callers that leave, and more work than fits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
import pytest
from google.rpc import error_details_pb2

from sidecar.client import AsyncSidecarClient
from sidecar.errors import DeadlineExceeded, Overloaded
from sidecar.inference import InferenceService
from sidecar.server.metrics import REGISTRY
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.integration.server.conftest import Refusal
from tests.support.sidecars import HEAVY_TEXT, InProcess

pytestmark = pytest.mark.integration

METHOD = "/sidecar.v1.SparseEncoder/Encode"

LONG_WORK = [HEAVY_TEXT] * 3_000
"""Seconds of inference."""


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


def service_of(sidecar: InProcess) -> InferenceService:
    service = sidecar.lifecycle._service  # type: ignore[attr-defined]
    assert isinstance(service, InferenceService)
    return service


def waiting(sidecar: InProcess) -> int:
    return sum(sum(figures.waiting_tokens.values()) for figures in service_of(sidecar).figures().values())


def in_flight() -> float:
    return REGISTRY.get_sample_value("sidecar_requests_in_flight", {"method": METHOD}) or 0.0


async def test_a_deadline_is_kept_and_its_work_dropped(start_sidecar) -> None:
    sidecar = await start_sidecar()
    async with AsyncSidecarClient(sidecar.target) as client:
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await client.encode(LONG_WORK, timeout=0.5)
        assert time.monotonic() - begin < 5.0
        await eventually(lambda: waiting(sidecar) == 0 and in_flight() == 0)
        assert (await client.encode(["some text"], timeout=20.0)).encodings


def counted(code: str, **others: str) -> float:
    labels = {"method": METHOD, "lane": "interactive", "code": code, **others}
    return sum(
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "sidecar_requests_total" and labels.items() <= sample.labels.items()
    )


async def test_calls_that_ran_out_of_time_are_counted_as_such(start_sidecar) -> None:
    sidecar = await start_sidecar()
    late, left = counted("DEADLINE_EXCEEDED"), counted("CANCELLED")
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        stub = rpc.SparseEncoderStub(channel)
        for timeout in (0.1, 0.333, 1.234):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Encode(pb.EncodeRequest(texts=LONG_WORK), timeout=timeout)
        await eventually(lambda: in_flight() == 0)
        assert (counted("DEADLINE_EXCEEDED"), counted("CANCELLED")) == (late + 3, left)
        call = stub.Encode(pb.EncodeRequest(texts=LONG_WORK), timeout=60.0)
        await eventually(lambda: in_flight() == 1)
        call.cancel()
        await eventually(lambda: in_flight() == 0)
    assert (counted("DEADLINE_EXCEEDED"), counted("CANCELLED")) == (late + 3, left + 1)


async def test_a_client_may_have_a_timeout_of_its_own(start_sidecar) -> None:
    sidecar = await start_sidecar()
    async with AsyncSidecarClient(sidecar.target, timeout=0.5) as client:
        with pytest.raises(DeadlineExceeded):
            await client.encode(LONG_WORK)


async def test_a_call_without_a_deadline_gets_the_settings(start_sidecar) -> None:
    sidecar = await start_sidecar(request_timeout=0.5)
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.SparseEncoderStub(channel).Encode(pb.EncodeRequest(texts=LONG_WORK))
    refusal = Refusal(raised.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_a_longer_deadline_than_the_settings_stands(start_sidecar) -> None:
    sidecar = await start_sidecar(request_timeout=0.001)
    async with AsyncSidecarClient(sidecar.target) as client:
        assert (await client.encode([HEAVY_TEXT] * 20, timeout=60.0)).encodings


async def test_the_work_of_a_caller_who_leaves_is_dropped(start_sidecar) -> None:
    sidecar = await start_sidecar()
    async with AsyncSidecarClient(sidecar.target, timeout=60.0) as client:
        call = asyncio.create_task(client.encode(LONG_WORK))
        await eventually(lambda: waiting(sidecar) > 0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: waiting(sidecar) == 0 and in_flight() == 0)


async def test_a_full_queue_says_at_once_when_to_come_again(start_sidecar) -> None:
    sidecar = await start_sidecar(max_batch_tokens=256, max_queue_tokens=1_024)
    async with AsyncSidecarClient(sidecar.target, timeout=60.0) as client:
        calls = [asyncio.create_task(client.encode([HEAVY_TEXT] * 200)) for _ in range(6)]
        await eventually(lambda: waiting(sidecar) > 512)
        async with grpc.aio.insecure_channel(sidecar.target) as channel:
            refusal = await first_refusal(rpc.SparseEncoderStub(channel), calls)
        assert counted("RESOURCE_EXHAUSTED", model=service_of(sidecar).models()[0].name) > 0
        retry = refusal.detail(error_details_pb2.RetryInfo)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert retry.retry_delay.ToNanoseconds() > 0
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def first_refusal(stub, calls: list[asyncio.Task]) -> Refusal:
    while not all(call.done() for call in calls):
        try:
            await stub.Encode(pb.EncodeRequest(texts=[HEAVY_TEXT] * 8), timeout=30.0)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return Refusal(error)
            raise
    raise AssertionError("The queue was never full.")


async def test_the_client_waits_an_overload_out_or_raises_it(start_sidecar) -> None:
    sidecar = await start_sidecar(max_batch_tokens=256, max_queue_tokens=1_024)
    async with (
        AsyncSidecarClient(sidecar.target, timeout=60.0, overload_retries=100) as patient,
        AsyncSidecarClient(sidecar.target, timeout=60.0, overload_retries=0) as impatient,
    ):
        background = [asyncio.create_task(patient.encode([HEAVY_TEXT] * 300)) for _ in range(6)]
        overload = await first_overload(impatient, background)
        assert overload.retry_after is not None
        assert overload.retry_after > 0
        waiting_it_out = asyncio.create_task(patient.encode([HEAVY_TEXT] * 8))
        await asyncio.sleep(0.2)
        for call in background:
            call.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        assert len((await waiting_it_out).encodings) == 8


async def first_overload(client: AsyncSidecarClient, background: list[asyncio.Task]) -> Overloaded:
    while not all(call.done() for call in background):
        try:
            await client.encode([HEAVY_TEXT] * 8)
        except Overloaded as error:
            return error
    raise AssertionError("The queue was never full.")
