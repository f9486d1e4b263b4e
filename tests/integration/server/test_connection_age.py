"""Connections that are given up at an age: callers behind one address find the sidecars that are added there."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import grpc
import pytest
from grpc import aio

from sidecar.bundle import Bundle
from sidecar.client import AsyncSidecarClient
from sidecar.inference import InferenceService
from sidecar.server.grpc.server import GrpcServer
from sidecar.settings import load_settings
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc

pytestmark = pytest.mark.integration

StartPod = Callable[..., Awaitable[int]]


@pytest.fixture
async def start_pod(tiny_bundles: tuple[Path, ...]) -> AsyncIterator[StartPod]:
    """`await start_pod(age=1.0, grace=60.0)`: a gRPC server, of which the port is returned."""
    servers: list[GrpcServer] = []
    service = InferenceService.load([Bundle.open(tiny_bundles[0])], load_settings(threads=1))

    async def start(*, age: float, grace: float) -> int:
        settings = load_settings(
            threads=1, grpc_port=0, grpc_max_connection_age=age, grpc_max_connection_age_grace=grace
        )
        servers.append(GrpcServer(service, settings))
        return await servers[-1].start()

    yield start
    for server in servers:
        await server.stop(0.0)
    service.close()


class OneAddress:
    """What a Service of Kubernetes does: a new connection leads to the pod with the fewest, and stays there."""

    def __init__(self, *pods: int) -> None:
        self.pods = list(pods)
        self.connections: Counter[int] = Counter()
        self._leading: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._leading:
            await asyncio.wait(self._leading, timeout=10.0)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        leading = asyncio.create_task(self._lead(reader, writer))
        self._leading.add(leading)
        leading.add_done_callback(self._leading.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod = min(self.pods, key=lambda port: self.connections[port])
        self.connections[pod] += 1
        back, there = await asyncio.open_connection("127.0.0.1", pod)
        await asyncio.gather(_copied(reader, there), _copied(back, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def behind_one_address(*pods: int) -> AsyncIterator[tuple[OneAddress, AsyncSidecarClient]]:
    async with OneAddress(*pods) as address, AsyncSidecarClient(address.target, timeout=30.0) as client:
        yield address, client


async def calls_until(condition: Callable[[], bool], client: AsyncSidecarClient, seconds: float) -> int:
    """Call without a pause, four at a time, until the condition holds or the time is up; every call has to succeed."""
    answered, end = 0, time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        results = await asyncio.gather(*(client.encode(["some text"]) for _ in range(4)))
        answered += sum(len(result.encodings) for result in results)
    return answered


async def test_a_pod_that_is_added_is_found_and_no_call_fails(start_pod: StartPod) -> None:
    first, second = await start_pod(age=1.0, grace=60.0), await start_pod(age=1.0, grace=60.0)
    async with behind_one_address(first) as (address, client):
        await client.encode(["some text"])
        address.pods.append(second)
        answered = await calls_until(lambda: address.connections[second] > 0, client, 60.0)
        assert address.connections[second] > 0
        assert answered > 0
        # And back again: the new connection has an age as well.
        await calls_until(lambda: address.connections[first] > 1, client, 60.0)
        assert address.connections[first] > 1


async def test_without_an_age_a_pod_that_is_added_is_not_found(start_pod: StartPod) -> None:
    first, second = await start_pod(age=0.0, grace=60.0), await start_pod(age=0.0, grace=60.0)
    async with behind_one_address(first) as (address, client):
        await client.encode(["some text"])
        address.pods.append(second)
        await calls_until(lambda: False, client, 4.0)
    assert address.connections == {first: 1}


@pytest.mark.parametrize("grace", [0.0, 1.0])
async def test_our_stream_goes_on_over_other_connections(start_pod: StartPod, grace: float) -> None:
    pods = [await start_pod(age=1.0, grace=grace) for _ in range(2)]

    async def batches() -> AsyncIterator[Sequence[str]]:
        for number in range(100):
            await asyncio.sleep(0.06)
            yield [f"text {number}", "another one"]

    found: Counter[int] = Counter()
    async with behind_one_address(*pods) as (address, client):
        async for outcome in client.encode_stream(batches()):
            assert len(outcome.unwrap().encodings) == 2
            found[outcome.position] += 1
    assert found == Counter(range(100))
    assert all(address.connections[pod] for pod in pods)


def paced(seconds: float) -> Callable[[], AsyncIterator[pb.EncodeStreamRequest]]:
    """Requests for so many seconds, ten in each."""

    async def requests() -> AsyncIterator[pb.EncodeStreamRequest]:
        for number in range(round(10 * seconds)):
            await asyncio.sleep(0.1)
            yield pb.EncodeStreamRequest(id=str(number), request=pb.EncodeRequest(texts=["some text"]))

    return requests


async def test_a_stream_of_anybody_has_the_grace_to_finish(start_pod: StartPod) -> None:
    target = f"127.0.0.1:{await start_pod(age=1.0, grace=60.0)}"
    async with aio.insecure_channel(target) as channel:
        call = rpc.SparseEncoderStub(channel).EncodeStream(paced(4.0)())
        answers = [answer.id async for answer in call]
        assert sorted(answers, key=int) == [str(number) for number in range(40)]
        assert await call.code() is grpc.StatusCode.OK


async def test_what_is_left_after_the_grace_is_told_to_go_elsewhere(start_pod: StartPod) -> None:
    target = f"127.0.0.1:{await start_pod(age=1.0, grace=0.5)}"
    async with aio.insecure_channel(target) as channel:
        call = rpc.SparseEncoderStub(channel).EncodeStream(paced(60.0)())
        begin = time.monotonic()
        with pytest.raises(aio.AioRpcError) as raised:
            _ = [answer.id async for answer in call]
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert 1.0 < time.monotonic() - begin < 30.0
