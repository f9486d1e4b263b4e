"""text-embeddings-inference: requests as its clients send them, answers in its exact shape."""

from __future__ import annotations

import asyncio
import math

import httpx
import orjson
import pytest

from sidecar.domain import Side
from sidecar.errors import DeadlineExceeded, InferenceFailed, NotReady, Overloaded, SidecarError
from sidecar.inference import InferenceService
from sidecar.server.http.dialects.tei import render_error
from sidecar.server.http.problems import problem_of
from tests.unit.http_edge.conftest import Serve

TEXTS = ["the weather in new york", "a cat sat by the river"]
COMPUTE_HEADERS = {
    "x-compute-type",
    "x-compute-time",
    "x-compute-characters",
    "x-compute-tokens",
    "x-total-time",
    "x-tokenization-time",
    "x-queue-time",
    "x-inference-time",
}


def test_embed_sparse_answers_one_list_of_pairs_per_text(http: httpx.Client, service: InferenceService) -> None:
    response = http.post("/embed_sparse", json={"inputs": TEXTS})
    assert response.status_code == 200, response.text
    answer = response.json()
    expected = asyncio.run(service.encode(TEXTS, side=Side.DOCUMENT)).encodings
    assert len(answer) == 2
    for row, encoding in zip(answer, expected, strict=True):
        assert all(set(pair) == {"index", "value"} for pair in row)
        assert all(type(pair["index"]) is int and type(pair["value"]) is float for pair in row)
        assert [pair["index"] for pair in row] == sorted(encoding.vector.term_ids)
        by_id = dict(encoding.vector)
        assert [pair["value"] for pair in row] == pytest.approx([by_id[pair["index"]] for pair in row], rel=1e-5)


def test_a_single_text_still_gives_a_list(http: httpx.Client) -> None:
    one = http.post("/embed_sparse", json={"inputs": TEXTS[0]}).json()
    assert len(one) == 1
    assert one == http.post("/embed_sparse", json={"inputs": TEXTS[:1]}).json()


def test_a_full_request_of_a_tei_client(http: httpx.Client) -> None:
    body = b'{"inputs": "a cat", "truncate": true, "truncation_direction": "Right", "prompt_name": null}'
    headers = {"content-type": "application/json", "accept": "application/json"}
    response = http.post("/embed_sparse", content=body, headers=headers)
    assert response.status_code == 200
    assert response.content.startswith(b'[[{"index":')


@pytest.mark.parametrize(
    ("body", "parameters"),
    [({"prompt_name": "query"}, {}), ({}, {"side": "query"}), ({"prompt_name": "query"}, {"side": "query"})],
)
def test_queries_are_told_from_documents(
    http: httpx.Client, service: InferenceService, body: dict[str, str], parameters: dict[str, str]
) -> None:
    response = http.post(
        "/embed_sparse", params={"model": "tiny-idf", **parameters}, json={"inputs": "cat and dog", **body}
    )
    expected = asyncio.run(service.encode(["cat and dog"], side=Side.QUERY, model="tiny-idf")).encodings[0]
    assert [pair["index"] for pair in response.json()[0]] == sorted(expected.vector.term_ids)


def test_sides_that_disagree_are_refused(http: httpx.Client) -> None:
    response = http.post("/embed_sparse?side=document", json={"inputs": "cat", "prompt_name": "query"})
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")


def test_a_side_that_does_not_exist_is_refused_in_teis_shape(http: httpx.Client) -> None:
    for address, body in (
        ("?side=both", {}),
        ("", {"prompt_name": "s2p"}),
        ("?side=query", {"prompt_name": "passage"}),
    ):
        response = http.post(f"/embed_sparse{address}", json={"inputs": "cat", **body})
        assert response.status_code == 422
        assert response.json()["error_type"] == "Validation"


def test_the_compute_headers(http: httpx.Client, service: InferenceService) -> None:
    texts = ["cat 😀", "dog"]
    response = http.post("/embed_sparse", json={"inputs": texts})
    assert set(response.headers) >= COMPUTE_HEADERS
    assert response.headers["x-compute-characters"] == "8"
    tokens = sum(encoding.tokens for encoding in asyncio.run(service.encode(texts)).encodings)
    assert response.headers["x-compute-tokens"] == str(tokens)
    for name in COMPUTE_HEADERS - {"x-compute-type"}:
        assert response.headers[name].isdigit()


def test_truncate_false_refuses_what_the_default_cuts(http: httpx.Client) -> None:
    long = " ".join(TEXTS * 40)
    assert http.post("/embed_sparse", json={"inputs": long}).status_code == 200
    assert http.post("/embed_sparse", json={"inputs": long, "truncate": None}).status_code == 200
    response = http.post("/embed_sparse", json={"inputs": long, "truncate": False})
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")


def test_the_left_end_is_not_cut_in_silence(http: httpx.Client) -> None:
    response = http.post("/embed_sparse", json={"inputs": "cat", "truncation_direction": "Left"})
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")
    fine = {"inputs": "cat", "truncation_direction": "left", "truncate": False}
    assert http.post("/embed_sparse", json=fine).status_code == 200


@pytest.mark.parametrize("inputs", [[101, 2088, 102], [[101, 2088], [101]], [[1, "a"]]])
def test_token_ids_are_refused_clearly(http: httpx.Client, inputs: object) -> None:
    response = http.post("/embed_sparse", json={"inputs": inputs})
    assert response.status_code == 422
    assert response.json() == {"error": "inputs: Token ids are not accepted, send texts.", "error_type": "Validation"}


@pytest.mark.parametrize("inputs", [[], ["cat", 7], 7, None, {"text": "cat"}, ["cat", None], "", "  "])
def test_other_inputs_are_refused_in_teis_shape(http: httpx.Client, inputs: object) -> None:
    response = http.post("/embed_sparse", json={"inputs": inputs})
    empty = inputs == []
    assert response.status_code == (400 if empty else 422)
    error = response.json()
    assert list(error) == ["error", "error_type"]
    assert error["error_type"] == ("Empty" if empty else "Validation")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/embed_sparse", {"inputs": ""}, "inputs is empty or only white space."),
        ("/embed_sparse", {"inputs": ["cat", ""]}, "inputs[1] is empty or only white space."),
        ("/embed_sparse", {"inputs": ["cat", 7]}, "inputs[1]: Must be a string."),
        ("/rerank", {"query": "cat", "texts": ["cat", ""]}, "texts[1] is empty or only white space."),
        ("/rerank", {"query": "", "texts": ["cat"]}, "query is empty or only white space."),
        ("/rerank", {"query": "cat"}, "texts: Required, but missing."),
    ],
)
def test_errors_name_the_fields_of_the_request(http: httpx.Client, path: str, body: object, error: str) -> None:
    assert http.post(path, json=body).json() == {"error": error, "error_type": "Validation"}


def test_a_text_beyond_the_model_is_named_as_it_was_sent(http: httpx.Client) -> None:
    long = " ".join(["cat"] * 600)
    for inputs, name in ((long, "inputs"), (["cat", long], "inputs[1]")):
        answer = http.post("/embed_sparse", json={"inputs": inputs, "truncate": False}).json()
        assert answer["error"].startswith(f"{name} has 600 tokens")
    answer = http.post("/rerank", json={"query": "cat", "texts": ["cat", long], "truncate": False}).json()
    assert answer["error"].startswith("texts[1] has 600 tokens")


def test_rerank_answers_a_bare_list_best_first(http: httpx.Client, service: InferenceService) -> None:
    texts = ["london is rainy", "new york is sunny today", "a cat"]
    response = http.post("/rerank", json={"query": "weather in new york", "texts": texts})
    assert response.status_code == 200, response.text
    ranks = response.json()
    expected = asyncio.run(service.rerank("weather in new york", texts)).results
    assert [list(rank) for rank in ranks] == [["index", "score"]] * 3
    assert [rank["index"] for rank in ranks] == [document.index for document in expected]
    scores = [rank["score"] for rank in ranks]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([1 / (1 + math.exp(-document.logit)) for document in expected], abs=1e-4)


def test_raw_scores_are_logits(http: httpx.Client, service: InferenceService) -> None:
    body = {"query": "cat", "texts": ["dog", "cat"], "raw_scores": True, "return_text": True, "truncate": True}
    ranks = http.post("/rerank", json=body).json()
    expected = asyncio.run(service.rerank("cat", ["dog", "cat"])).results
    assert [rank["score"] for rank in ranks] == pytest.approx([document.logit for document in expected], abs=1e-4)
    assert [rank["text"] for rank in ranks] == [["dog", "cat"][rank["index"]] for rank in ranks]


def test_no_texts_to_rank_are_teis_empty(http: httpx.Client) -> None:
    response = http.post("/rerank", json={"query": "cat", "texts": []})
    assert (response.status_code, response.json()["error_type"]) == (400, "Empty")


def test_info_has_teis_required_keys(http: httpx.Client) -> None:
    info = http.get("/info").json()
    required = {
        "model_id",
        "model_dtype",
        "model_type",
        "max_concurrent_requests",
        "max_input_length",
        "max_batch_tokens",
        "max_client_batch_size",
        "auto_truncate",
        "tokenization_workers",
        "version",
    }
    assert required <= set(info)
    assert info["model_id"] == "tiny-sparse"
    assert info["model_type"] == {"embedding": {"pooling": "splade"}}
    assert info["max_input_length"] == 128
    reranker = http.get("/info", params={"model": "tiny-cross-encoder"}).json()
    assert list(reranker["model_type"]) == ["reranker"]


def test_health_is_open_and_follows_readiness(serve: Serve) -> None:
    served = serve(ready=False, auth_token="secret")
    response = served.http.get("/health")
    assert (response.status_code, response.json()["error_type"]) == (503, "Unhealthy")
    served.state.become_ready(served.service.models(), threads=1)
    response = served.http.get("/health")
    assert (response.status_code, response.content) == (200, b"")
    served.state.begin_draining()
    assert served.http.get("/health").status_code == 503


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (InferenceFailed("x"), 424, "Backend"),
        (Overloaded("x", retry_after=1.2), 429, "Overloaded"),
        (NotReady("x"), 503, "Unhealthy"),
        (DeadlineExceeded("x"), 504, "Backend"),
        (SidecarError("x"), 500, "Backend"),
    ],
)
def test_the_status_map(error: SidecarError, status: int, error_type: str) -> None:
    response = render_error(problem_of(error))
    assert response.status_code == status
    assert orjson.loads(bytes(response.body)) == {"error": "x", "error_type": error_type}
    if status in (429, 503):
        assert int(response.headers["retry-after"]) >= 1


def test_a_kind_that_is_not_served_is_the_backends_fault(http: httpx.Client) -> None:
    response = http.post("/rerank", params={"model": "tiny-sparse"}, json={"query": "cat", "texts": ["dog"]})
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
