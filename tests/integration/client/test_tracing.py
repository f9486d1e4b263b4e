"""The client's spans, and the server's below them: one trace from an application to the sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.errors import SidecarUnavailable, UnknownModel
from sidecar.server.process import SidecarProcess
from tests.support.collector import Collector

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def gathered() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced(gathered: Collector, tiny_bundles: tuple[Path, ...]) -> Iterator[SidecarProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gathered.endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with SidecarProcess(tiny_bundles, settings={"tracing": "otlp", "threads": 1}) as process:
            yield process


def hexadecimal(span: ReadableSpan) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def by_name(exporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_one_trace_from_the_application_to_the_stages(spans_here, gathered, traced) -> None:
    async with AsyncSidecarClient(traced.target) as client:
        with trace.get_tracer("shop").start_as_current_span("order"):
            await client.encode(["a cat"])
    found = by_name(spans_here)
    ours, theirs = found["sidecar.v1.SparseEncoder/Encode"], found["order"]
    assert ours.kind is SpanKind.CLIENT
    assert ours.parent.span_id == theirs.context.span_id
    host, _, port = traced.target.rpartition(":")
    assert dict(ours.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": "sidecar.v1.SparseEncoder/Encode",
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
    }
    trace_id, span_id = hexadecimal(ours)
    server = gathered.call(trace_id)
    assert server.parent_id == span_id
    assert len(gathered.children(server)) == 3


def test_threads_hand_their_context_over(spans_here, gathered, traced) -> None:
    """The call runs in the event loop of another thread; its span belongs to this one's all the same."""
    with SidecarClient(traced.target) as client, trace.get_tracer("shop").start_as_current_span("order"):
        client.rerank("a cat", ["a cat", "a dog"])
    found = by_name(spans_here)
    ours = found["sidecar.v1.Reranker/Rerank"]
    assert ours.parent.span_id == found["order"].context.span_id
    trace_id, span_id = hexadecimal(ours)
    assert gathered.call(trace_id).parent_id == span_id


async def test_every_method_has_its_span_but_health(spans_here, traced) -> None:
    async with AsyncSidecarClient(traced.target) as client:
        await client.models()
        await client.model("tiny-sparse")
        await client.rerank_batch([("a cat", ["a cat"])])
        assert await client.health()
    assert sorted(by_name(spans_here)) == [
        "sidecar.v1.Models/Get",
        "sidecar.v1.Models/List",
        "sidecar.v1.Reranker/RerankBatch",
    ]


async def test_a_stream_belongs_to_the_trace_that_it_was_begun_in(spans_here, gathered, traced) -> None:
    async with AsyncSidecarClient(traced.target) as client:
        with trace.get_tracer("shop").start_as_current_span("import"):
            outcomes = [outcome async for outcome in client.encode_stream([["a cat"], ["a dog"]])]
    assert [outcome.error for outcome in outcomes] == [None, None]
    (theirs,) = spans_here.get_finished_spans()
    trace_id, span_id = hexadecimal(theirs)
    server = gathered.call(trace_id)
    assert (server.parent_id, server.attributes["sidecar.texts"]) == (span_id, 2)


@pytest.mark.parametrize("sidecar", ["there", "gone"])
async def test_errors_by_their_reason(spans_here, traced, sidecar: str) -> None:
    target = traced.target if sidecar == "there" else "127.0.0.1:9"
    async with AsyncSidecarClient(target, timeout=5.0) as client:
        with pytest.raises((UnknownModel, SidecarUnavailable)):
            await client.model("no-such-model")
    (found,) = spans_here.get_finished_spans()
    reason, code = ("UNKNOWN_MODEL", "NOT_FOUND") if sidecar == "there" else ("SIDECAR_UNAVAILABLE", "UNAVAILABLE")
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, reason)
    assert (found.attributes["error.type"], found.attributes["rpc.response.status_code"]) == (reason, code)
