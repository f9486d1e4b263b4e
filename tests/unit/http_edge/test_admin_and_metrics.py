"""The admin port, and what both edges record."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from sidecar import __version__
from sidecar.domain import EncodeResult, Encoding, Lane, RankedDocument, Side, SparseVector, Timings
from sidecar.errors import WIRE, DeadlineExceeded, Overloaded, SidecarError
from sidecar.server import metrics
from sidecar.server.admin import create_admin_app
from sidecar.server.state import ServerState
from sidecar.settings import Settings
from tests.unit.http_edge.conftest import Serve, Served
from tests.unit.http_edge.results import FINGERPRINT, rerank_result

Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """Read the Prometheus text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    """Return one sample of the process's metrics, 0 if it is not there."""
    return samples(metrics.render().decode()).get((name, frozenset(labels.items())), 0.0)


# --- probes ------------------------------------------------------------------------------------------------------


def test_probes_follow_the_phase() -> None:
    state = ServerState()
    admin = TestClient(create_admin_app(None, Settings(), state))

    def probes() -> list[int]:
        return [admin.get(path).status_code for path in ("/livez", "/readyz", "/startupz")]

    assert probes() == [200, 503, 503]
    state.become_ready((), threads=1)
    assert probes() == [200, 200, 200]
    state.begin_draining()
    assert probes() == [200, 503, 200]
    assert admin.get("/readyz").text == "draining\n"


def test_build_info_names_versions_models_and_threads(served: Served) -> None:
    info = served.admin.get("/buildinfo").json()
    assert info["version"] == __version__
    assert info["threads"] == 1
    assert info["providers"] == ["cpu"]
    assert info["token_required"] is False
    assert [model["name"] for model in info["models"]] == ["tiny-sparse", "tiny-idf", "tiny-cross-encoder"]
    assert all(re.fullmatch("[0-9a-f]{64}", model["fingerprint"]) for model in info["models"])
    assert "onnxruntime" in info["libraries"]


def test_the_admin_port_asks_for_no_token_and_shows_none(serve: Serve) -> None:
    served = serve(auth_token="sesame")
    for path in ("/livez", "/readyz", "/startupz", "/metrics", "/buildinfo"):
        response = served.admin.get(path)
        assert response.status_code == 200
        assert "sesame" not in response.text
    assert served.admin.get("/buildinfo").json()["token_required"] is True


def test_the_admin_port_has_nothing_else(served: Served) -> None:
    assert served.admin.get("/v1/models").status_code == 404
    assert served.admin.post("/livez").status_code == 405


# --- what is scraped ---------------------------------------------------------------------------------------------


def test_the_scrape_is_well_formed_and_describes_what_runs(served: Served) -> None:
    served.http.post("/v1/encode", json={"texts": ["cat"]})
    response = served.admin.get("/metrics")
    assert response.headers["content-type"] == metrics.CONTENT_TYPE
    found = samples(response.text)
    own = {name for name, _ in found if not name.startswith(("process_", "python_"))}
    assert own
    assert all(name.startswith("sidecar_") and not name.endswith("_created") for name in own)
    models = {dict(labels)["model"]: dict(labels) for name, labels in found if name == "sidecar_model_info"}
    assert set(models) == {"tiny-sparse", "tiny-idf", "tiny-cross-encoder"}
    for model in served.service.models():
        assert models[model.name] == {
            "model": model.name,
            "kind": str(model.kind),
            "fingerprint": model.fingerprint,
            "quantization": model.quantization,
        }
    assert any(name == "sidecar_build_info" and dict(labels)["version"] == __version__ for name, labels in found)


def test_queue_depths_are_read_by_lane(served: Served) -> None:
    metrics.watch(served.service)
    for lane in Lane:
        key = ("sidecar_queue_tokens", frozenset({("model", "tiny-sparse"), ("lane", str(lane))}))
        assert samples(metrics.render().decode())[key] == 0
    before = value("sidecar_batches_total", model="tiny-sparse")
    served.http.post("/v1/encode", json={"texts": ["cat"]})
    assert value("sidecar_batches_total", model="tiny-sparse") > before
    assert value("sidecar_batch_padded_tokens_total", model="tiny-sparse") > 0


def test_cache_hits_are_counted_by_model_and_cache(served: Served) -> None:
    metrics.watch(served.service)
    labels = {"model": "tiny-cross-encoder", "cache": "documents"}
    body = {"query": "cat", "documents": ["a text that no other test of this module sends"]}
    served.http.post("/v1/rerank", json=body)
    before = value("sidecar_cache_hits_total", **labels)
    assert value("sidecar_cache_misses_total", **labels) >= 1
    served.http.post("/v1/rerank", json={**body, "query": "dog"})
    assert value("sidecar_cache_hits_total", **labels) == before + 1
    assert value("sidecar_cache_used", **labels) > 0
    assert value("sidecar_cache_used", model="tiny-cross-encoder", cache="pairs") == 0


def test_who_can_not_tell_figures_is_not_asked() -> None:
    metrics.watch(object())
    assert "sidecar_queue_tokens{" not in metrics.render().decode()
    assert "sidecar_cache_hits_total{" not in metrics.render().decode()


def test_a_request_is_counted_once_with_its_labels(http: httpx.Client) -> None:
    labels = {"model": "tiny-sparse", "method": "/v1/encode", "lane": "bulk", "code": "OK"}
    before = value("sidecar_requests_total", **labels)
    timed = value("sidecar_request_duration_seconds_count", method="/v1/encode", lane="bulk")
    texts = value("sidecar_texts_total", model="tiny-sparse", method="/v1/encode")
    terms = value("sidecar_terms_per_text_count", model="tiny-sparse", side="document")
    assert http.post("/v1/encode", json={"texts": ["cat", "dog"], "lane": "bulk"}).status_code == 200
    assert value("sidecar_requests_total", **labels) == before + 1
    assert value("sidecar_request_duration_seconds_count", method="/v1/encode", lane="bulk") == timed + 1
    assert value("sidecar_texts_total", model="tiny-sparse", method="/v1/encode") == texts + 2
    assert value("sidecar_terms_per_text_count", model="tiny-sparse", side="document") == terms + 2
    assert value("sidecar_requests_in_flight", method="/v1/encode") == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"texts": [""]}, "INVALID_ARGUMENT"),
        ({"texts": [1]}, "INVALID_ARGUMENT"),
        ({"texts": ["cat"], "model": "no-such-model"}, "NOT_FOUND"),
        ({"texts": ["cat"], "expected_fingerprint": "0"}, "FAILED_PRECONDITION"),
    ],
)
def test_errors_are_counted_under_their_code(http: httpx.Client, body: dict[str, object], code: str) -> None:
    def count() -> float:
        return sum(
            number
            for (name, labels), number in samples(metrics.render().decode()).items()
            if name == "sidecar_requests_total" and {("method", "/v1/encode"), ("code", code)} <= labels
        )

    before = count()
    assert http.post("/v1/encode", json=body).status_code >= 400
    assert count() == before + 1


@pytest.mark.parametrize(
    ("path", "body", "model", "code"),
    [
        ("/v1/encode", {"texts": [""]}, "tiny-sparse", "INVALID_ARGUMENT"),
        ("/v1/encode", {"texts": [""], "model": "tiny-idf"}, "tiny-idf", "INVALID_ARGUMENT"),
        ("/v1/encode", {"texts": ["cat"], "expected_fingerprint": "0"}, "tiny-sparse", "FAILED_PRECONDITION"),
        ("/v1/encode", {"texts": ["cat"], "model": "tiny-cross-encoder"}, "tiny-cross-encoder", "FAILED_PRECONDITION"),
        ("/v1/encode", {"texts": ["cat"], "model": "no-such-model"}, "", "NOT_FOUND"),
        ("/v1/rerank", {"query": "", "documents": ["cat"]}, "tiny-cross-encoder", "INVALID_ARGUMENT"),
    ],
)
def test_failed_calls_are_counted_under_their_model(
    http: httpx.Client, path: str, body: dict[str, object], model: str, code: str
) -> None:
    labels = {"model": model, "method": path, "lane": "rerank" if "query" in body else "interactive", "code": code}
    before = value("sidecar_requests_total", **labels)
    assert http.post(path, json=body).status_code >= 400
    assert value("sidecar_requests_total", **labels) == before + 1


def test_nothing_a_caller_sends_becomes_a_label(http: httpx.Client) -> None:
    http.post("/v1/encode", json={"texts": ["cat"], "model": "xylophone-model"})
    http.get("/v1/models/xylophone-name")
    http.get("/xylophone-path")
    http.post("/embed_sparse?model=xylophone", json={"inputs": "cat", "prompt_name": "xylophone"})
    text = metrics.render().decode()
    assert "xylophone" not in text
    assert 'method="/v1/models/{name}"' in text


def test_truncated_texts_are_counted(http: httpx.Client) -> None:
    labels = {"model": "tiny-cross-encoder", "method": "/weaviate/rerank"}
    before = value("sidecar_truncated_texts_total", **labels)
    http.post("/weaviate/rerank", json={"query": "cat", "documents": ["a cat " * 200, "dog"]})
    assert value("sidecar_truncated_texts_total", **labels) == before + 1


# --- the recording itself ----------------------------------------------------------------------------------------


def _result(*terms: int) -> EncodeResult:
    vectors = [SparseVector(tuple(range(n)), tuple(float(n - i) for i in range(n))) for n in terms]
    timings = Timings(tokenize_us=1_000, queue_us=2_000, inference_us=500_000, total_us=600_000)
    encodings = tuple(Encoding(vector, truncated=len(vector) > 5, tokens=7) for vector in vectors)
    return EncodeResult(encodings, "by-hand", FINGERPRINT, timings)


def test_an_answer_is_taken_apart() -> None:
    with metrics.observe("test/answer", Lane.BULK) as call:
        assert value("sidecar_requests_in_flight", method="test/answer") == 1
        call.encoded(_result(3, 200), Side.QUERY)
    assert value("sidecar_requests_total", model="by-hand", method="test/answer", lane="bulk", code="OK") == 1
    assert value("sidecar_texts_total", model="by-hand", method="test/answer") == 2
    assert value("sidecar_truncated_texts_total", model="by-hand", method="test/answer") == 1
    assert value("sidecar_tokens_total", model="by-hand") == 14
    assert value("sidecar_terms_per_text_sum", model="by-hand", side="query") == 203
    assert value("sidecar_terms_per_text_bucket", model="by-hand", side="query", le="4.0") == 1
    assert value("sidecar_tokenize_duration_seconds_sum", model="by-hand") == pytest.approx(0.001)
    assert value("sidecar_queue_duration_seconds_sum", model="by-hand") == pytest.approx(0.002)
    assert value("sidecar_inference_duration_seconds_sum", model="by-hand") == pytest.approx(0.5)


def test_a_ranking_is_taken_apart() -> None:
    result = rerank_result(RankedDocument(0, 1.0, 1.0, truncated=True), RankedDocument(1, 0.5, 0.5))
    with metrics.observe("test/ranking", Lane.RERANK) as call:
        call.reranked(result)
    assert value("sidecar_texts_total", model="made-by-hand", method="test/ranking") == 2
    assert value("sidecar_truncated_texts_total", model="made-by-hand", method="test/ranking") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("x"), "RESOURCE_EXHAUSTED"),
        (DeadlineExceeded("x"), "DEADLINE_EXCEEDED"),
        (asyncio.CancelledError(), "CANCELLED"),
        (RuntimeError("x"), "INTERNAL"),
    ],
)
def test_errors_pass_through_and_are_counted(error: BaseException, code: str) -> None:
    method = f"test/{code}"
    with pytest.raises(type(error)), metrics.observe(method):
        raise error
    assert value("sidecar_requests_total", model="", method=method, lane="", code=code) == 1
    assert value("sidecar_requests_in_flight", method=method) == 0


@pytest.mark.parametrize(
    ("given", "left", "code"),
    [
        (10.0, -0.001, "DEADLINE_EXCEEDED"),
        (1_000.0, 9.0, "DEADLINE_EXCEEDED"),  # gRPC sends times over with two or three digits, rounded up
        (1_000.0, 20.0, "CANCELLED"),
        (0.5, -0.5, "DEADLINE_EXCEEDED"),
        (0.5, 0.4, "CANCELLED"),
        (None, 0.0, "CANCELLED"),
    ],
)
def test_a_call_that_is_cancelled_when_its_time_is_up_ran_out_of_time(
    given: float | None, left: float, code: str
) -> None:
    call = metrics.Call("test/cancelled", None)
    if given is not None:
        call.deadline = time.monotonic() + left
        call.begin = call.deadline - given
    call.failed(asyncio.CancelledError())
    assert call.code == code


@pytest.mark.parametrize("kind", WIRE)
def test_every_error_has_a_code(kind: type[SidecarError]) -> None:
    with pytest.raises(kind), metrics.observe(f"test/every/{kind.__name__}"):
        raise kind("x")
    code = WIRE[kind].code.name
    assert value("sidecar_requests_total", model="", method=f"test/every/{kind.__name__}", lane="", code=code) == 1


def test_models_are_replaced_not_added(served: Served) -> None:
    everyone, first = served.service.models(), served.service.models()[:1]
    metrics.describe_models(everyone)
    metrics.describe_models(first)
    shown = [labels for name, labels in samples(metrics.render().decode()) if name == "sidecar_model_info"]
    assert len(shown) == 1


def test_metrics_are_declared_in_one_place_only() -> None:
    room = Path(metrics.__file__).parents[1]
    declaring = re.compile(r"\b(Counter|Gauge|Histogram|Summary)\(\s*\"")
    declared = {str(file.relative_to(room)) for file in room.rglob("*.py") if declaring.search(file.read_text())}
    assert declared == {f"metrics/{name}.py" for name in ("calls", "facts", "searches")}
