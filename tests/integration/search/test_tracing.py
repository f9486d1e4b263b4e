"""A search's spans: its stages in one trace, what it went without, and the trace context on its way to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from sidecar.errors import UnknownModel
from sidecar.search import BUILT_IN, AsyncSearcher, Searcher
from sidecar.search.feedback import Rocchio
from sidecar.search.rerank import Rerank
from sidecar.server.process import SidecarProcess
from tests.support.collector import SAMPLED, Collector

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river in the snow"


def found(exporter) -> tuple[ReadableSpan, dict[str, ReadableSpan]]:
    """Return the search's own span, and the stages right below it by name."""
    spans = exporter.get_finished_spans()
    (root,) = [span for span in spans if span.parent is None]
    below = [span for span in spans if span.parent is not None and span.parent.span_id == root.context.span_id]
    return root, {span.name: span for span in below}


def below(exporter, parent: ReadableSpan) -> list[str]:
    spans = exporter.get_finished_spans()
    return [span.name for span in spans if span.parent is not None and span.parent.span_id == parent.context.span_id]


async def test_the_stages_of_a_search(spans_here, world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    result = await searcher.search(QUERY, size=3, explain=True)
    root, stages = found(spans_here)
    assert root.name == "sidecar.search"
    assert dict(root.attributes) == {"sidecar.index": world.index, "sidecar.profile": "hybrid+rerank"}
    assert set(stages) >= {"sidecar.encode", "sidecar.retrieve", "sidecar.rerank", "sidecar.explain"}
    assert below(spans_here, stages["sidecar.encode"]) == ["sidecar.v1.SparseEncoder/Encode"]
    assert below(spans_here, stages["sidecar.rerank"]) == ["sidecar.v1.Reranker/Rerank"]
    took = (stages["sidecar.rerank"].end_time - stages["sidecar.rerank"].start_time) / 1e6
    assert took <= result.timings.rerank_ms
    for span in spans_here.get_finished_spans():
        assert "wolf" not in span.to_json()


async def test_feedback_is_a_stage(spans_here, world, engine, client) -> None:
    sparse = BUILT_IN["sparse"].sparse
    assert sparse is not None
    retriever = sparse.model_copy(update={"feedback": Rocchio(weight=0.3)})
    profile = BUILT_IN["sparse"].model_copy(update={"retrievers": (retriever,)})
    await AsyncSearcher(engine, client, profile, index=world.index).search(QUERY)
    _, stages = found(spans_here)
    assert "sidecar.feedback" in stages


async def test_a_sidecar_that_is_gone_is_told_by_stage_and_search(spans_here, world, engine) -> None:
    profile = BUILT_IN["hybrid+rerank"].model_copy(update={"encode_timeout": 1.0})
    async with AsyncSidecarClient("127.0.0.1:9") as gone:
        result = await AsyncSearcher(engine, gone, profile, index=world.index).search(QUERY)
    assert result.degraded is not None
    root, stages = found(spans_here)
    assert root.attributes["sidecar.degraded"] == result.degraded
    assert root.attributes["sidecar.degraded_stage"] == "encode"
    assert root.status.status_code is StatusCode.UNSET, "the search itself has not failed"
    encode = stages["sidecar.encode"]
    assert encode.attributes["sidecar.degraded"] == encode.attributes["error.type"] == result.degraded
    assert (encode.status.status_code, encode.status.description) == (StatusCode.ERROR, result.degraded)


async def test_a_query_without_terms_is_nobodys_failure(spans_here, world, engine, client) -> None:
    result = await AsyncSearcher(engine, client, "hybrid", index=world.index).search("…")
    assert result.degraded == "NO_QUERY_TERMS"
    _, stages = found(spans_here)
    encode = stages["sidecar.encode"]
    assert encode.attributes["sidecar.degraded"] == "NO_QUERY_TERMS"
    assert encode.status.status_code is StatusCode.UNSET


async def test_an_error_of_the_operators_is_the_searchs(spans_here, world, engine, client) -> None:
    rerank = Rerank(model="no-such-reranker")
    profile = BUILT_IN["hybrid+rerank"].model_copy(update={"rerank": rerank})
    with pytest.raises(UnknownModel):
        await AsyncSearcher(engine, client, profile, index=world.index).search(QUERY)
    root, stages = found(spans_here)
    assert root.attributes["error.type"] == stages["sidecar.rerank"].attributes["error.type"] == "UNKNOWN_MODEL"
    known = (root.attributes["sidecar.index"], root.attributes["sidecar.profile"])
    assert known == (world.index, profile.name), "of a search that failed, above all"


async def test_a_body_of_ones_own(spans_here, world, engine, client) -> None:
    body = {"query": {"match": {"text": QUERY}}, "size": 3}
    await AsyncSearcher(engine, client, "hybrid+rerank", index=world.index).search_body(body)
    root, stages = found(spans_here)
    assert root.name == "sidecar.search_body"
    assert {"sidecar.encode", "sidecar.retrieve", "sidecar.rerank"} <= set(stages)


def test_threads_hand_their_context_over(spans_here, world) -> None:
    searcher = Searcher(world.url, world.target, "sparse", index=world.index)
    with searcher, trace.get_tracer("shop").start_as_current_span("page"):
        searcher.search(QUERY)
    root, stages = found(spans_here)
    assert (root.name, set(stages)) == ("page", {"sidecar.search"})


async def test_the_cluster_is_told_the_trace(spans_here, world, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Mapping[str, str]] = []
    async with await Engine.connect(world.url) as engine:
        transport = engine._transport._client.transport
        perform = transport.perform_request

        async def watched(*arguments, **given):
            sent.append(given["headers"])
            return await perform(*arguments, **given)

        monkeypatch.setattr(transport, "perform_request", watched)
        await AsyncSearcher(engine, None, "lexical", index=world.index).search(QUERY)
    _, stages = found(spans_here)
    ids = stages["sidecar.retrieve"].context
    assert sent[-1]["traceparent"] == f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"


def test_a_search_over_http_is_one_trace(world, models: list[Path], collector: Collector) -> None:
    """The request, the search that it asks for, its stages; and below these, what the model's stages took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        settings = {"tracing": "otlp", "threads": 1, "search_engine": world.url, "search_indices": world.index}
        with SidecarProcess(models, settings=settings) as process:
            body = {"index": world.index, "text": QUERY, "profile": "hybrid+rerank", "size": 3}
            answer = httpx.post(
                f"{process.http_url}/v1/search", json=body, headers={"traceparent": SAMPLED}, timeout=60.0
            )
            assert answer.status_code == 200, answer.text
    request = collector.call()
    assert request.name == "POST /v1/search"
    assert "sidecar.model" not in request.attributes, "two models had a part in it"
    (search,) = collector.children(request)
    assert search.name == "sidecar.search"
    stages = {span.name: span for span in collector.children(search)}
    assert {"sidecar.encode", "sidecar.retrieve", "sidecar.rerank"} <= set(stages)
    assert stages["sidecar.encode"].attributes["sidecar.model"] == "tiny-idf"
    assert stages["sidecar.rerank"].attributes["sidecar.documents"] > 0
    assert [span.name for span in collector.children(stages["sidecar.rerank"])][-1] == "sidecar.inference"
