"""Reranking in Cohere's and Jina's shape."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from sidecar.domain import RankedDocument
from sidecar.inference import InferenceService
from sidecar.server.http.rerank import RerankAnswer, ranked
from tests.unit.http_edge.results import rerank_result

QUERY = "weather in new york"
DOCUMENTS = ["london is rainy", "new york is sunny today", "a cat", "the weather in the city of new york"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_every_document_is_scored_best_first(http: httpx.Client, service: InferenceService, path: str) -> None:
    response = http.post(path, json={"query": QUERY, "documents": DOCUMENTS})
    assert response.status_code == 200, response.text
    answer = RerankAnswer.model_validate_json(response.content)
    expected = asyncio.run(service.rerank(QUERY, DOCUMENTS))
    assert [row.index for row in answer.results] == [document.index for document in expected.results]
    assert [row.logit for row in answer.results] == pytest.approx([d.logit for d in expected.results], abs=1e-4)
    assert answer.meta.api_version.version == path[2]
    assert (answer.model, answer.fingerprint) == (expected.model, expected.fingerprint)
    assert answer.id == response.headers["x-request-id"]


def test_the_answer_has_exactly_these_keys(http: httpx.Client) -> None:
    answer = http.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS[:1]}).json()
    assert list(answer) == ["id", "results", "meta", "model", "fingerprint", "timings"]
    assert list(answer["results"][0]) == ["index", "relevance_score", "logit", "truncated", "windows"]


def test_documents_may_be_objects_and_are_returned_on_request(http: httpx.Client) -> None:
    documents = [{"text": text, "title": "not read"} for text in DOCUMENTS]
    answer = http.post("/v1/rerank", json={"query": QUERY, "documents": documents, "return_documents": True}).json()
    strings = http.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS}).json()
    assert [row["index"] for row in answer["results"]] == [row["index"] for row in strings["results"]]
    for row in answer["results"]:
        assert row["document"] == {"text": DOCUMENTS[row["index"]]}


@pytest.mark.parametrize(("top_n", "expected"), [(1, 1), (3, 3), (99, 4), (None, 4)])
def test_top_n_cuts_the_list_and_nothing_else(http: httpx.Client, top_n: int | None, expected: int) -> None:
    everything = http.post("/v2/rerank", json={"query": QUERY, "documents": DOCUMENTS}).json()["results"]
    best = http.post("/v2/rerank", json={"query": QUERY, "documents": DOCUMENTS, "top_n": top_n}).json()["results"]
    assert len(best) == expected
    assert [row["index"] for row in best] == [row["index"] for row in everything[:expected]]


def test_a_request_as_cohere_and_jina_clients_send_it(http: httpx.Client) -> None:
    cohere = {
        "model": "tiny-cross-encoder",
        "query": QUERY,
        "documents": DOCUMENTS,
        "top_n": 2,
        "rank_fields": ["text"],
        "max_chunks_per_doc": 10,
        "max_tokens_per_doc": 4096,
    }
    jina = {"model": "tiny-cross-encoder", "query": QUERY, "documents": DOCUMENTS, "top_n": 2, "truncation": True}
    for path, body in (("/v1/rerank", cohere), ("/v2/rerank", cohere), ("/v1/rerank", jina)):
        response = http.post(path, json=body, headers={"authorization": "Bearer any", "x-client-name": "test"})
        assert response.status_code == 200, response.text
        for row in response.json()["results"]:
            assert isinstance(row["index"], int)
            assert isinstance(row["relevance_score"], float)


def test_a_cut_document_says_so(http: httpx.Client) -> None:
    long = " ".join(DOCUMENTS * 30)
    answer = http.post("/v1/rerank", json={"query": QUERY, "documents": [long, "cat"]}).json()
    assert {row["index"]: row["truncated"] for row in answer["results"]} == {0: True, 1: False}


def test_windows_are_read_on_request(http: httpx.Client) -> None:
    long = " ".join(DOCUMENTS * 30)
    body = {"query": QUERY, "documents": [long], "windows": {"policy": "slide", "max_windows": 2}}
    assert http.post("/v1/rerank", json=body).json()["results"][0]["windows"] == 2


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({"query": QUERY, "documents": ["a", 1]}, 422, "INVALID_INPUT", "documents[1]"),
        ({"query": QUERY, "documents": [{"title": "x"}]}, 422, "INVALID_INPUT", "documents[0].text"),
        ({"query": QUERY}, 422, "INVALID_INPUT", "documents"),
        ({"query": QUERY, "documents": ["a"], "top_n": 0}, 422, "INVALID_INPUT", "top_n"),
        ({"query": "  ", "documents": ["a"]}, 422, "EMPTY_TEXT", "query"),
        ({"query": QUERY, "documents": ["a", "\t"]}, 422, "EMPTY_TEXT", "documents[1]"),
        ({"query": QUERY, "documents": ["a"], "model": "tiny-sparse"}, 400, "WRONG_MODEL_KIND", "model"),
        ({"query": QUERY, "documents": ["a"], "model": "none"}, 404, "UNKNOWN_MODEL", "model"),
    ],
)
def test_bad_requests_are_problems(
    http: httpx.Client, body: dict[str, object], status: int, reason: str, field: str
) -> None:
    response = http.post("/v1/rerank", json=body)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["reason"], problem["field"]) == (status, reason, field)


def test_scores_that_look_like_integers_stay_floats() -> None:
    result = rerank_result(RankedDocument(1, 1, 1), RankedDocument(0, 0.0, -0.0))
    for row in ranked(result):
        assert type(row["relevance_score"]) is float
        assert type(row["logit"]) is float
