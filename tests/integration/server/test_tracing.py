"""Spans of a real sidecar, as a real collector gets them: whose they are, what they say, and what they never say."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import orjson
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.server.process import SidecarProcess
from sidecar.v1 import sidecar_pb2 as pb
from sidecar.v1 import sidecar_pb2_grpc as rpc
from tests.support.collector import SPAN_ID, TRACE_ID, Collector, Received, caller, wait_until

pytestmark = pytest.mark.integration

SECRET = "patient lists of the clinic"

TOKEN = "token-of-this-test"

STAGES = ["sidecar.tokenize", "sidecar.queue", "sidecar.inference"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traced") / "sidecar.log"


@pytest.fixture(scope="module")
def traced(shared: Collector, log: Path, tiny_bundles: tuple[Path, ...]) -> Iterator[SidecarProcess]:
    settings = {"tracing": "otlp", "threads": 1, "max_texts": 5, "log_level": "debug", "max_request_bytes": 4_096}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", shared.endpoint)
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=of-the-collector")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with SidecarProcess(tiny_bundles, settings=settings, token=TOKEN, log=log) as process:
            yield process


@pytest.fixture
def trace_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def channel(traced: SidecarProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(traced.target) as channel:
        yield channel


def metadata(trace_id: str, *, sampled: bool = True, token: str = TOKEN) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"), ("traceparent", caller(trace_id, sampled=sampled)))


def encode(channel: grpc.Channel, trace_id: str, texts: list[str], **more: object) -> pb.EncodeResponse:
    request = pb.EncodeRequest(texts=texts, side=pb.SIDE_DOCUMENT)
    request.MergeFrom(pb.EncodeRequest(**more))
    return rpc.SparseEncoderStub(channel).Encode(request, metadata=metadata(trace_id), timeout=60.0)


def post(traced: SidecarProcess, path: str, body: object, trace_id: str, **headers: str) -> httpx.Response:
    known = {"authorization": f"Bearer {TOKEN}", "traceparent": caller(trace_id), **headers}
    return httpx.post(f"{traced.http_url}{path}", json=body, headers=known, timeout=60.0)


def names(spans: list[Received]) -> list[str]:
    return [span.name for span in spans]


def test_a_grpc_call_is_a_span_below_its_callers(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    answer = encode(channel, trace_id, ["the cat sat", "on the mat " * 300], lane=pb.LANE_BULK)
    span = shared.call(trace_id)
    assert (span.name, span.kind, span.parent_id) == ("sidecar.v1.SparseEncoder/Encode", "SERVER", SPAN_ID)
    assert (span.status, span.events) == ("UNSET", 0)
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "sidecar.v1.SparseEncoder/Encode",
        "rpc.response.status_code": "OK",
        "sidecar.model": "tiny-sparse",
        "sidecar.fingerprint": answer.fingerprint,
        "sidecar.lane": "bulk",
        "sidecar.side": "document",
        "sidecar.texts": 2,
        "sidecar.tokens": sum(encoding.tokens for encoding in answer.encodings),
        "sidecar.truncated": 1,
    }
    assert span.resource["service.name"] == "splade-sidecar"
    assert span.resource["deployment.environment.name"] == "tests"
    assert span.scope == "splade-sidecar"
    assert shared.metadata[-1]["api-key"] == "of-the-collector"


def test_its_stages_are_below_it_as_long_as_they_took(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    answer = encode(channel, trace_id, ["the cat sat on the mat"])
    span = shared.call(trace_id)
    below = shared.children(span)
    assert names(below) == STAGES
    took = (answer.timings.tokenize_us, answer.timings.queue_us, answer.timings.inference_us)
    for stage, micros in zip(below, took, strict=True):
        assert stage.kind == "INTERNAL"
        assert stage.end - stage.begin == micros * 1_000
        assert span.begin <= stage.begin <= stage.end <= span.end


def test_a_query_from_a_table_has_no_stages(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    encode(channel, trace_id, ["the cat"], model="tiny-idf", side=pb.SIDE_QUERY)
    span = shared.call(trace_id)
    assert span.attributes["sidecar.side"] == "query"
    assert span.attributes["sidecar.model"] == "tiny-idf"
    assert shared.children(span) == []


def test_a_rerank_call(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    request = pb.RerankRequest(query="a cat", documents=["a cat", "a dog", "the mat"])
    rpc.RerankerStub(channel).Rerank(request, metadata=metadata(trace_id), timeout=60.0)
    span = shared.call(trace_id)
    assert span.attributes["sidecar.documents"] == 3
    assert span.attributes["sidecar.lane"] == "rerank"
    assert names(shared.children(span)) == STAGES


def test_a_call_without_a_caller_begins_a_trace(shared: Collector, channel: grpc.Channel) -> None:
    before = {span.span_id for span in shared.spans}
    request = pb.EncodeRequest(texts=["the lonely cat"], side=pb.SIDE_DOCUMENT)
    rpc.SparseEncoderStub(channel).Encode(request, metadata=(("authorization", f"Bearer {TOKEN}"),), timeout=60.0)

    def roots() -> list[Received]:
        return [span for span in shared.spans if span.span_id not in before and span.parent_id == ""]

    wait_until(lambda: bool(roots()))
    assert names(roots()) == ["sidecar.v1.SparseEncoder/Encode"]


def test_the_callers_sampled_flag_holds(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    other = uuid.uuid4().hex
    request = pb.EncodeRequest(texts=["a cat"], side=pb.SIDE_DOCUMENT)
    for unsampled in (metadata(trace_id, sampled=False), metadata(other)):
        rpc.SparseEncoderStub(channel).Encode(request, metadata=unsampled, timeout=60.0)
    shared.call(other)
    assert shared.of(trace_id) == []


def test_a_batch_adds_up_and_has_no_stages(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    parts = [pb.RerankRequest(query="a cat", documents=["a cat", "a dog"]) for _ in range(2)]
    rpc.RerankerStub(channel).RerankBatch(
        pb.RerankBatchRequest(requests=parts), metadata=metadata(trace_id), timeout=60.0
    )
    span = shared.call(trace_id)
    assert span.attributes["sidecar.documents"] == 4
    assert shared.children(span) == []


def test_a_stream_adds_up_and_counts_what_failed(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    texts = (["one cat"], ["two cats", "three cats"], [" "])
    requests = [
        pb.EncodeStreamRequest(id=str(number), request=pb.EncodeRequest(texts=part, side=pb.SIDE_DOCUMENT))
        for number, part in enumerate(texts)
    ]
    stub = rpc.SparseEncoderStub(channel)
    assert len(list(stub.EncodeStream(iter(requests), metadata=metadata(trace_id), timeout=60.0))) == 3
    span = shared.call(trace_id)
    assert span.name == "sidecar.v1.SparseEncoder/EncodeStream"
    assert span.attributes["sidecar.texts"] == 3
    assert span.attributes["sidecar.failed_requests"] == 1
    assert span.attributes["rpc.response.status_code"] == "OK"
    assert "error.type" not in span.attributes
    assert shared.children(span) == []


@pytest.mark.parametrize(
    ("texts", "more", "reason", "code"),
    [
        ([SECRET], {"model": "no-such-model"}, "UNKNOWN_MODEL", "NOT_FOUND"),
        ([SECRET, " "], {}, "EMPTY_TEXT", "INVALID_ARGUMENT"),
        ([SECRET] * 6, {}, "TOO_MANY_TEXTS", "INVALID_ARGUMENT"),
        ([SECRET * 200], {}, "TEXT_TOO_LARGE", "INVALID_ARGUMENT"),
        ([SECRET], {"expected_fingerprint": "0" * 64}, "FINGERPRINT_MISMATCH", "FAILED_PRECONDITION"),
    ],
)
def test_what_a_caller_did_wrong_is_told_by_its_reason(
    shared: Collector, channel: grpc.Channel, trace_id: str, texts: list[str], more: dict, reason: str, code: str
) -> None:
    with pytest.raises(grpc.RpcError):
        encode(channel, trace_id, texts, **more)
    span = shared.call(trace_id)
    assert (span.attributes["error.type"], span.attributes["rpc.response.status_code"]) == (reason, code)
    assert (span.status, span.message) == ("UNSET", "")


def test_a_stranger_is_seen_as_one(shared: Collector, channel: grpc.Channel, trace_id: str) -> None:
    with pytest.raises(grpc.RpcError):
        rpc.ModelsStub(channel).List(pb.ListModelsRequest(), metadata=metadata(trace_id, token="wrong"))
    span = shared.call(trace_id)
    assert span.name == "sidecar.v1.Models/List"
    assert span.attributes["error.type"] == span.attributes["rpc.response.status_code"] == "UNAUTHENTICATED"


def test_what_took_too_long_is_an_error(shared: Collector, traced: SidecarProcess, trace_id: str) -> None:
    answer = post(traced, "/v1/encode", {"texts": ["a cat"]}, trace_id, **{"x-request-timeout": "0.000001"})
    assert answer.status_code == 504
    span = shared.call(trace_id)
    assert (span.status, span.message) == ("ERROR", "DEADLINE_EXCEEDED")
    assert span.attributes["error.type"] == "DEADLINE_EXCEEDED"


def test_an_http_request_is_a_span_by_its_route(shared: Collector, traced: SidecarProcess, trace_id: str) -> None:
    answer = post(traced, f"/v1/encode?q={SECRET}", {"texts": ["a cat"], "lane": "bulk"}, trace_id)
    span = shared.call(trace_id)
    assert (span.name, span.kind, span.parent_id) == ("POST /v1/encode", "SERVER", SPAN_ID)
    fingerprint, tokens = answer.json()["fingerprint"], answer.json()["encodings"][0]["tokens"]
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/encode",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "sidecar.request_id": answer.headers["x-request-id"],
        "sidecar.model": "tiny-sparse",
        "sidecar.fingerprint": fingerprint,
        "sidecar.lane": "bulk",
        "sidecar.side": "document",
        "sidecar.texts": 1,
        "sidecar.tokens": tokens,
        "sidecar.truncated": 0,
    }
    assert names(shared.children(span)) == STAGES


def test_a_dialects_route_too(shared: Collector, traced: SidecarProcess, trace_id: str) -> None:
    body = {"query": "a cat", "texts": ["a cat", "a dog"]}
    assert post(traced, "/rerank", body, trace_id).status_code == 200
    span = shared.call(trace_id)
    assert (span.name, span.attributes["sidecar.documents"]) == ("POST /rerank", 2)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "name"),
    [
        ("/v1/encode", {"texts": [SECRET, ""]}, 422, "EMPTY_TEXT", "POST /v1/encode"),
        ("/v1/encode", {"texts": [SECRET], SECRET: 1}, 422, "INVALID_INPUT", "POST /v1/encode"),
        ("/v1/encode", {"texts": [SECRET], "model": "other"}, 404, "UNKNOWN_MODEL", "POST /v1/encode"),
        (f"/{SECRET}", {}, 404, "404", "POST"),
    ],
)
def test_errors_of_http_by_their_reason(
    shared: Collector,
    traced: SidecarProcess,
    trace_id: str,
    path: str,
    body: object,
    status: int,
    reason: str,
    name: str,
) -> None:
    assert post(traced, path, body, trace_id).status_code == status
    span = shared.call(trace_id)
    assert (span.name, span.status) == (name, "UNSET")
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (status, reason)


def test_a_method_of_the_callers_own_names_no_span(shared: Collector, traced: SidecarProcess, trace_id: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "traceparent": caller(trace_id)}
    httpx.request("BREW", f"{traced.http_url}/v1/encode", headers=headers)
    span = shared.call(trace_id)
    assert span.name.startswith("HTTP")
    assert span.attributes["http.request.method"] == "_OTHER"


def test_probes_are_not_traced(shared: Collector, traced: SidecarProcess, channel: grpc.Channel, trace_id: str) -> None:
    marked = metadata(trace_id)
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), metadata=marked)
    httpx.get(f"{traced.admin_url}/readyz", headers=dict(marked))
    other = uuid.uuid4().hex
    encode(channel, other, ["a cat"])
    shared.call(other)
    assert shared.of(trace_id) == []


def test_nothing_that_callers_wrote_is_sent(shared: Collector, traced: SidecarProcess, channel: grpc.Channel) -> None:
    """Not in an attribute, a name, an event or a message: of anything that this file's tests have sent."""
    ids = [uuid.uuid4().hex for _ in range(3)]
    encode(channel, ids[0], [SECRET])
    post(traced, f"/v1/encode?q={SECRET}", {"texts": [SECRET]}, ids[1])
    post(traced, f"/v1/models/{SECRET}", None, ids[2])
    for each in ids:
        shared.call(each)
    sent = b"".join(span.raw for span in shared.spans)
    words = [word.encode() for word in SECRET.split() if len(word) > 3]
    assert words
    assert not [word for word in words if word in sent]


def test_log_lines_of_a_call_have_its_ids(shared: Collector, traced: SidecarProcess, log: Path, trace_id: str) -> None:
    answer = post(traced, "/v1/encode", {"texts": ["a cat"]}, trace_id)
    span = shared.call(trace_id)
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    (line,) = [one for one in lines if one.get("request_id") == answer.headers["x-request-id"]]
    assert (line["trace_id"], line["span_id"]) == (trace_id, span.span_id)


async def test_without_spans_log_lines_have_their_callers_ids(
    start_sidecar, capsys: pytest.CaptureFixture[str]
) -> None:
    started = await start_sidecar()
    async with httpx.AsyncClient(base_url=started.http_url) as client:
        for headers in ({"traceparent": caller()}, {"traceparent": "nonsense"}, {}):
            assert (await client.get("/v1/models", headers=headers)).status_code == 200
    shown = [line for line in capsys.readouterr().out.splitlines() if "answered" in line]
    assert [TRACE_ID in line and SPAN_ID in line for line in shown] == [True, False, False]
