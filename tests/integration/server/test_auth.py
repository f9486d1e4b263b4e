"""The bearer token guards every call of the contract; health and reflection stay open for probes and tools."""

from __future__ import annotations

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sidecar.client import AsyncSidecarClient
from sidecar.errors import Unauthenticated
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.integration.server.conftest import Refusal

pytestmark = pytest.mark.integration

TOKEN = "correct horse battery staple"


@pytest.fixture
async def target(start_sidecar) -> str:
    return (await start_sidecar(auth_token=TOKEN)).target


async def test_with_the_token_everything_is_open(target: str) -> None:
    async with AsyncSidecarClient(target, token=TOKEN) as client:
        assert (await client.encode(["some text"])).encodings
        assert (await client.rerank("q", ["a"])).results
        assert [outcome.error async for outcome in client.encode_stream([["some text"]])] == [None]
        assert await client.models()


@pytest.mark.parametrize("token", [None, "wrong", TOKEN[:-1], TOKEN + "x", ""])
async def test_without_it_no_call_is_taken(target: str, token: str | None) -> None:
    async with AsyncSidecarClient(target, token=token) as client:
        with pytest.raises(Unauthenticated):
            await client.encode(["some text"])
        with pytest.raises(Unauthenticated):
            await client.rerank("q", ["a"])
        with pytest.raises(Unauthenticated):
            await client.rerank_batch([])
        with pytest.raises(Unauthenticated):
            await client.models()
        with pytest.raises(Unauthenticated):
            await client.model("tiny-sparse")
        with pytest.raises(Unauthenticated):
            [outcome async for outcome in client.encode_stream([["some text"]])]
        assert await client.health()


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", TOKEN)],
        [("authorization", f"Basic {TOKEN}")],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")],
        [("x-authorization", f"Bearer {TOKEN}")],
    ],
)
async def test_other_forms_are_refused_with_a_reason(target: str, metadata: list[tuple[str, str]]) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.ModelsStub(channel).List(pb.ListModelsRequest(), metadata=metadata)
    refusal = Refusal(raised.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert TOKEN not in refusal.status.message


async def test_reflection_needs_no_token(target: str) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        answers = [answer async for answer in call]
    assert "sidecar.v1.Models" in [service.name for service in answers[0].list_services_response.service]
