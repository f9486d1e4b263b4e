"""Every call of the contract on a real server, against the core itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from sidecar.bundle import Bundle
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Lane, ModelKind, Pruning, PruningType, Side, WindowPolicy, Windows
from sidecar.inference import InferenceService
from sidecar.server.process import SidecarProcess
from sidecar.settings import Settings
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.support.sidecars import HEAVY_TEXT

pytestmark = pytest.mark.integration

TEXTS = ["what the document says", "three or four words, and some more of them", "?!", HEAVY_TEXT]


@pytest.fixture(scope="module")
def core(tiny_bundles: tuple[Path, ...]) -> Iterator[InferenceService]:
    service = InferenceService.load([Bundle.open(folder) for folder in tiny_bundles], Settings(threads=1))
    yield service
    service.close()


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("model", [None, "tiny-sparse", "tiny-idf"])
async def test_encode_gives_what_the_core_gives(
    client: AsyncSidecarClient, core: InferenceService, side: Side, model: str | None
) -> None:
    over_the_wire = await client.encode(TEXTS, side=side, model=model, return_terms=True)
    directly = await core.encode(TEXTS, side=side, model=model, return_terms=True)
    assert (over_the_wire.model, over_the_wire.fingerprint) == (directly.model, directly.fingerprint)
    for sent, expected in zip(over_the_wire.encodings, directly.encodings, strict=True):
        assert sent.vector.by_term() == pytest.approx(expected.vector.by_term(), rel=1e-5)
        assert (sent.truncated, sent.windows, sent.tokens) == (expected.truncated, expected.windows, expected.tokens)
        assert list(sent.vector.weights) == sorted(sent.vector.weights, reverse=True)
    assert over_the_wire.timings.total_us > 0


async def test_pruning_and_windows_reach_the_core(client: AsyncSidecarClient) -> None:
    everything = await client.encode([HEAVY_TEXT], pruning=Pruning(), windows=Windows(WindowPolicy.SLIDE, 0, 3))
    few = await client.encode([HEAVY_TEXT], pruning=Pruning(PruningType.TOP_K, 3))
    assert len(few.encodings[0].vector) == 3
    assert len(everything.encodings[0].vector) > 3
    assert everything.encodings[0].windows > 1
    assert few.encodings[0].truncated
    assert not few.encodings[0].vector.terms


async def test_rerank_gives_what_the_core_gives(client: AsyncSidecarClient, core: InferenceService) -> None:
    documents = ["what the document says", "something else", "three four five"]
    over_the_wire = await client.rerank("what does it say", documents, lane=Lane.BULK)
    directly = await core.rerank("what does it say", documents)
    assert [ranked.index for ranked in over_the_wire.results] == [ranked.index for ranked in directly.results]
    for sent, expected in zip(over_the_wire.results, directly.results, strict=True):
        assert sent.score == pytest.approx(expected.score, rel=1e-5)
        assert sent.logit == pytest.approx(expected.logit, rel=1e-5, abs=1e-6)


async def test_a_rerank_batch_is_its_parts_in_order(client: AsyncSidecarClient) -> None:
    queries = [("what is it", ["one", "two", "three"]), ("which", ["four"]), ("where", ["five", "six"])]
    together = await client.rerank_batch(queries)
    for (query, documents), answered in zip(queries, together, strict=True):
        alone = await client.rerank(query, documents)
        assert {each.index: each.score for each in answered.results} == pytest.approx(
            {each.index: each.score for each in alone.results}, rel=1e-4
        )
    assert await client.rerank_batch([]) == ()


async def test_models_are_listed_and_found(client: AsyncSidecarClient, tiny_bundles: tuple[Path, ...]) -> None:
    models = await client.models()
    assert {model.fingerprint for model in models} == {Bundle.open(folder).fingerprint for folder in tiny_bundles}
    defaults = {model.kind: model.name for model in models if model.is_default}
    assert defaults == {ModelKind.SPARSE_ENCODER: "tiny-sparse", ModelKind.CROSS_ENCODER: "tiny-cross-encoder"}
    for model in models:
        assert await client.model(model.name) == model


async def test_a_fingerprint_that_fits_is_accepted(client: AsyncSidecarClient) -> None:
    fingerprint = (await client.model("tiny-sparse")).fingerprint
    result = await client.encode(["some text"], expected_fingerprint=fingerprint)
    assert result.fingerprint == fingerprint


async def test_no_texts_give_no_encodings_or_a_clear_error(client: AsyncSidecarClient, core: InferenceService) -> None:
    try:
        expected: object = (await core.encode([])).encodings
    except Exception as error:
        expected = type(error)
    try:
        got: object = (await client.encode([])).encodings
    except Exception as error:
        got = type(error)
    assert got == expected


async def test_ten_thousand_texts_in_one_call(client: AsyncSidecarClient) -> None:
    texts = [f"some text number {number % 10}" for number in range(10_000)]
    result = await client.encode(texts)
    assert len(result.encodings) == 10_000
    first = [encoding.vector for encoding in result.encodings[:10]]
    last = [encoding.vector for encoding in result.encodings[-10:]]
    for one, other in zip(first, last, strict=True):
        assert one.term_ids == other.term_ids
        assert one.weights == pytest.approx(other.weights, rel=1e-4)


def test_health_knows_the_server_its_services_and_its_models(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in (
        "",
        "sidecar.v1.SparseEncoder",
        "sidecar.v1.Reranker",
        "sidecar.v1.Models",
        "sidecar.v1.SparseEncoder/tiny-sparse",
        "sidecar.v1.SparseEncoder/tiny-idf",
        "sidecar.v1.Reranker/tiny-cross-encoder",
    ):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(health_pb2.HealthCheckRequest(service="sidecar.v1.SparseEncoder/no-such-model"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_the_client_asks_for_health(client: AsyncSidecarClient) -> None:
    assert await client.health()
    assert await client.health("sidecar.v1.Reranker/tiny-cross-encoder")


def test_reflection_describes_the_contract(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "sidecar.v1.Models",
        "sidecar.v1.Reranker",
        "sidecar.v1.SparseEncoder",
    }
    described = descriptor_pool.DescriptorPool(database).FindServiceByName("sidecar.v1.SparseEncoder")
    assert [method.name for method in described.methods] == ["Encode", "EncodeStream"]


async def test_reflection_can_be_switched_off(start_sidecar) -> None:
    sidecar = await start_sidecar(reflection=False)
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        assert (await rpc.ModelsStub(channel).List(pb.ListModelsRequest())).models
        call = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(iter([b""]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_http_and_admin_answer_beside_grpc(sidecar_process: SidecarProcess) -> None:
    import httpx

    assert httpx.get(f"{sidecar_process.admin_url}/livez").status_code == 200
    assert httpx.get(f"{sidecar_process.admin_url}/readyz").status_code == 200
    assert httpx.get(f"{sidecar_process.admin_url}/startupz").status_code == 200
    info = httpx.get(f"{sidecar_process.admin_url}/buildinfo").json()
    assert {model["name"] for model in info["models"]} == {"tiny-sparse", "tiny-idf", "tiny-cross-encoder"}
    assert info["threads"] == 1
    assert httpx.get(f"{sidecar_process.http_url}/openapi.json").status_code == 200


async def test_calls_are_counted_by_method_and_code(
    client: AsyncSidecarClient, sidecar_process: SidecarProcess
) -> None:
    import httpx

    await client.encode(["some text"])
    metrics = httpx.get(f"{sidecar_process.admin_url}/metrics").text
    assert 'method="/sidecar.v1.SparseEncoder/Encode"' in metrics
    assert 'code="OK"' in metrics
