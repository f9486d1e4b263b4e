"""`sidecar serve` as a process: HTTP beside gRPC, on one core."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.client import SidecarClient
from sidecar.domain import Lane, Pruning, PruningType, Side
from sidecar.server.process import SidecarProcess
from tests.support.documentation import REPOSITORY, run_page
from tests.support.sidecars import HEAVY_TEXT

pytestmark = pytest.mark.integration

TEXTS = ["the weather in new york", "a cat sat by the river 😀", "... !!!"]


@pytest.fixture(scope="module")
def http(sidecar_process: SidecarProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sidecar_process.http_url, timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("pruning", [None, Pruning(PruningType.TOP_K, 3)])
def test_both_edges_give_the_same_vectors(
    sidecar_process: SidecarProcess, http: httpx.Client, side: Side, pruning: Pruning | None
) -> None:
    body: dict[str, object] = {"texts": TEXTS, "side": side, "return_terms": True}
    if pruning is not None:
        body["pruning"] = {"type": pruning.type, "value": pruning.value}
    answer = http.post("/v1/encode", json=body).json()
    with SidecarClient(sidecar_process.target) as client:
        result = client.encode(TEXTS, side=side, pruning=pruning, return_terms=True)
    assert (answer["model"], answer["fingerprint"]) == (result.model, result.fingerprint)
    for mine, theirs in zip(answer["encodings"], result.encodings, strict=True):
        assert tuple(mine["vector"]["term_ids"]) == theirs.vector.term_ids
        assert tuple(mine["vector"]["terms"]) == theirs.vector.terms
        assert mine["vector"]["weights"] == pytest.approx(theirs.vector.weights, rel=1e-5)
        assert (mine["truncated"], mine["tokens"]) == (theirs.truncated, theirs.tokens)


def test_both_edges_rank_alike(sidecar_process: SidecarProcess, http: httpx.Client) -> None:
    answer = http.post("/v2/rerank", json={"query": "weather", "documents": TEXTS}).json()
    with SidecarClient(sidecar_process.target) as client:
        result = client.rerank("weather", TEXTS)
    assert [row["index"] for row in answer["results"]] == [document.index for document in result.results]
    assert [row["logit"] for row in answer["results"]] == pytest.approx([d.logit for d in result.results], abs=1e-4)


def test_both_edges_are_counted_alike(sidecar_process: SidecarProcess, http: httpx.Client) -> None:
    http.post("/v1/encode", json={"texts": TEXTS, "lane": "bulk"})
    http.post("/v1/encode", json={"texts": [""]})
    with SidecarClient(sidecar_process.target) as client:
        client.encode(TEXTS, lane=Lane.BULK)
    text = httpx.get(f"{sidecar_process.admin_url}/metrics", trust_env=False).text
    requests = {
        (sample.labels["method"], sample.labels["code"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "sidecar_requests_total"
    }
    assert {
        ("/v1/encode", "OK"),
        ("/v1/encode", "INVALID_ARGUMENT"),
        ("/sidecar.v1.SparseEncoder/Encode", "OK"),
    } <= requests


def test_the_page_about_http_does_what_it_says(sidecar_process: SidecarProcess, tmp_path: Path) -> None:
    addresses = {
        "http://127.0.0.1:8080": sidecar_process.http_url,
        "http://127.0.0.1:9090": sidecar_process.admin_url,
        "http://127.0.0.1:9200": "http://127.0.0.1:1",  # this page needs no cluster
        "127.0.0.1:50051": sidecar_process.target,
    }
    assert run_page(REPOSITORY / "docs" / "http.md", addresses, tmp_path) > 10


def test_a_call_under_way_is_answered_while_the_process_drains(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_grace": 30}) as process:
        with httpx.Client(base_url=process.http_url, timeout=60, trust_env=False) as client:
            body = {"texts": [HEAVY_TEXT] * 400, "lane": "bulk"}
            request = client.build_request("POST", "/v1/encode", json=body)
            answer = _send_and_terminate(client, request, process)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["encodings"]) == 400


@pytest.mark.parametrize("path", ["/v1/encode", "/embed_sparse"])
def test_a_call_that_outlasts_the_grace_may_be_sent_elsewhere(tiny_bundles: tuple[Path, ...], path: str) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_grace": 0.2}) as process:
        address = ("127.0.0.1", int(process.http_url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=60.0) as connection:
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
            connection.sendall(head.encode() + b'{"te')
            limit = time.monotonic() + 30
            while f'sidecar_requests_in_flight{{method="{path}"}} 1.0' not in _metrics(process):
                assert time.monotonic() < limit
            os.kill(process.pid, signal.SIGTERM)
            answer = b""
            while received := connection.recv(1 << 16):
                answer += received
        head, _, body = answer.decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 503 "), answer
        assert "retry-after: 1" in head
        assert "shutting down" in body
        assert process.wait(60.0) == 0


def _send_and_terminate(client: httpx.Client, request: httpx.Request, process: SidecarProcess) -> httpx.Response:
    """Send the request in a thread, and SIGTERM as soon as the sidecar works on it."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.send, request)
        limit = time.monotonic() + 30
        while 'sidecar_requests_in_flight{method="/v1/encode"} 1.0' not in _metrics(process):
            assert time.monotonic() < limit
            assert not answer.done(), "the call was over before it could be interrupted"
        os.kill(process.pid, signal.SIGTERM)
        return answer.result(timeout=60)


def _metrics(process: SidecarProcess) -> str:
    return httpx.get(f"{process.admin_url}/metrics", trust_env=False).text
