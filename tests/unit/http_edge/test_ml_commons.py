"""ml-commons: bodies as connectors send them, answers that neural-search takes without a post-process function."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest

from sidecar.domain import Side, WindowPolicy, Windows
from sidecar.errors import EmptyText, Overloaded
from sidecar.inference import InferenceService
from sidecar.server.http.dialects.ml_commons import render_error
from sidecar.server.http.problems import problem_of

TEXTS = ["cat and dog", 'a "quoted"\nline by the river']
DOCUMENT, QUERY = "/ml-commons/sparse/document", "/ml-commons/sparse/query"


def _maps(service: InferenceService, texts: list[str], side: Side) -> list[dict[str, float]]:
    result = asyncio.run(service.encode(texts, side=side, return_terms=True))
    return [encoding.vector.by_term() for encoding in result.encodings]


@pytest.mark.parametrize(("path", "side"), [(DOCUMENT, Side.DOCUMENT), (QUERY, Side.QUERY)])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda texts: texts,
        lambda texts: {"texts": texts},
        lambda texts: {"inputs": texts},
        lambda texts: {"input": texts},
        lambda texts: {"texts": texts, "sparse_embedding_format": "WORD"},
        lambda texts: {"texts": texts, "sparse_embedding_format": "lexical", "unknown": 1},
    ],
    ids=["array", "texts", "inputs", "input", "word", "lexical"],
)
def test_every_body_gives_a_bare_list_of_maps(
    http: httpx.Client, service: InferenceService, path: str, side: Side, wrap: object
) -> None:
    assert callable(wrap)
    response = http.post(path, json=wrap(TEXTS))
    assert response.status_code == 200, response.text
    answer, expected = response.json(), _maps(service, TEXTS, side)
    assert isinstance(answer, list)
    assert [set(features) for features in answer] == [set(features) for features in expected]
    for features, wanted in zip(answer, expected, strict=True):
        assert features == pytest.approx(wanted, rel=1e-5)
        assert all(type(weight) is float and weight > 0 for weight in features.values())


@pytest.mark.parametrize("body", ['"cat and dog"', '{"texts": "cat and dog"}', '{ "inputs": ["cat and dog"] }'])
def test_a_single_text_gives_a_list_of_one(http: httpx.Client, body: str) -> None:
    response = http.post(QUERY, content=body.encode(), headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    assert [set(features) >= {"cat", "dog"} for features in response.json()] == [True]


def test_documents_are_read_whole_as_everywhere_on_their_way_into_an_index(
    http: httpx.Client, service: InferenceService
) -> None:
    long = " ".join(TEXTS * 40)
    (found,) = http.post(DOCUMENT, json=[long]).json()
    read = {
        policy: asyncio.run(service.encode([long], windows=Windows(policy), return_terms=True)).encodings[0]
        for policy in (WindowPolicy.SLIDE, WindowPolicy.TRUNCATE)
    }
    whole, head = read[WindowPolicy.SLIDE].vector.by_term(), read[WindowPolicy.TRUNCATE].vector.by_term()
    assert found == pytest.approx(whole, rel=1e-5)
    assert found != pytest.approx(head, rel=1e-5)


@pytest.mark.parametrize("name", ["token_id", "TOKEN_ID"])
def test_token_ids_as_keys(http: httpx.Client, service: InferenceService, name: str) -> None:
    answer = http.post(DOCUMENT, json={"texts": TEXTS, "sparse_embedding_format": name}).json()
    expected = asyncio.run(service.encode(TEXTS, side=Side.DOCUMENT)).encodings
    assert [list(features) for features in answer] == [
        [str(term_id) for term_id in encoding.vector.term_ids] for encoding in expected
    ]


def test_blank_documents_get_an_empty_map_and_keep_their_place(http: httpx.Client, service: InferenceService) -> None:
    answer = http.post(DOCUMENT, json=["", "cat", " \n", "dog"]).json()
    assert [bool(features) for features in answer] == [False, True, False, True]
    assert answer[1] == pytest.approx(_maps(service, ["cat"], Side.DOCUMENT)[0], rel=1e-5)
    assert http.post(DOCUMENT, json=["", " "]).json() == [{}, {}]
    assert http.post(DOCUMENT, json=[]).json() == []


def test_a_blank_query_is_an_error_as_the_cluster_writes_them(http: httpx.Client) -> None:
    response = http.post(QUERY, json=["  "])
    assert response.status_code == 422
    assert response.json() == {
        "error": {"type": "empty_text", "reason": "body[0] is empty or only white space."},
        "status": 422,
    }


@pytest.mark.parametrize(
    ("path", "body", "blamed"),
    [
        (QUERY, "  ", "body"),
        (QUERY, {"inputs": "  "}, "inputs"),
        (QUERY, {"inputs": ["cat", " "]}, "inputs[1]"),
        (QUERY, {"input": ["cat", " "]}, "input[1]"),
        (QUERY, {"texts": ["cat", " "]}, "texts[1]"),
        (DOCUMENT, {"input": ["", "cat", " ", "x" * 2_000_000]}, "input[3]"),
        (DOCUMENT, ["", "x" * 2_000_000], "body[1]"),
        (DOCUMENT, {"input": "x" * 2_000_000}, "input"),
    ],
)
def test_errors_name_the_texts_as_the_request_does(http: httpx.Client, path: str, body: object, blamed: str) -> None:
    """And the positions are those of the request, where blank documents are not sent on."""
    reason = http.post(path, json=body).json()["error"]["reason"]
    assert reason.startswith((f"{blamed} is empty", f"{blamed} has 2,000,000 bytes")), reason


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"texts": ["cat"], "inputs": ["cat"]},
        {"text_docs": ["cat"]},
        {"texts": ["cat"], "sparse_embedding_format": "bogus"},
        {"texts": ["cat", 7]},
        7,
        None,
        ["cat", {"a": 1}],
    ],
)
def test_bodies_that_mean_nothing_are_refused_in_shape(http: httpx.Client, body: object) -> None:
    response = http.post(DOCUMENT, content=orjson.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 422
    error = response.json()
    assert list(error) == ["error", "status"]
    assert list(error["error"]) == ["type", "reason"]


def test_the_model_is_chosen_in_the_url(http: httpx.Client) -> None:
    answer = http.post(QUERY, params={"model": "tiny-idf"}, json=["cat and dog"]).json()
    assert set(answer[0]) == {"cat", "and", "dog"}
    assert http.post(QUERY, params={"model": "nobody"}, json=["cat"]).status_code == 404


def test_rerank_scores_every_document_whatever_top_n_says(http: httpx.Client) -> None:
    body = {"query": "cat", "documents": ["dog", "cat", "river"], "top_n": 1}
    response = http.post("/ml-commons/rerank", json=body)
    assert response.status_code == 200
    rows = response.json()["results"]
    assert sorted(row["index"] for row in rows) == [0, 1, 2]
    # `(Integer) index` and `(Double) relevance_score` are casts in ml-commons: a score of 1 would fail there.
    assert all(type(row["index"]) is int and type(row["relevance_score"]) is float for row in rows)


@pytest.mark.parametrize("documents", [["dog", "", "cat", " \n"], ["", "cat"], ["", ""]])
def test_hits_without_a_text_come_last(http: httpx.Client, documents: list[str]) -> None:
    filled = [text for text in documents if text.strip()]
    response = http.post("/ml-commons/rerank", json={"query": "cat", "documents": documents, "return_documents": True})
    assert response.status_code == 200, response.text
    rows = response.json()["results"]
    assert sorted(row["index"] for row in rows) == list(range(len(documents)))
    assert [documents[row["index"]] for row in rows] == [row["document"]["text"] for row in rows]
    alone = http.post("/v1/rerank", json={"query": "cat", "documents": filled}).json()["results"]
    assert [row["relevance_score"] for row in rows[: len(filled)]] == [row["relevance_score"] for row in alone]
    lowest = min((row["relevance_score"] for row in alone), default=1.0)
    assert [row["relevance_score"] for row in rows[len(filled) :]] == [lowest - 1.0] * (len(documents) - len(filled))
    assert {row["windows"] for row in rows[len(filled) :]} <= {0}


def test_a_refused_document_is_named_by_its_place_among_all(http: httpx.Client) -> None:
    body = {"query": "cat", "documents": ["", "dog", "x" * 2_000_000]}
    response = http.post("/ml-commons/rerank", json=body)
    assert response.status_code == 413
    assert "documents[2]" in response.json()["error"]["reason"]
    assert http.post("/ml-commons/rerank", json={"query": " ", "documents": ["dog"]}).status_code == 422


@pytest.mark.parametrize("body", [{}, {"texts": None}, {"input": ["a"], "texts": ["b"]}])
def test_a_body_without_one_place_for_texts_is_told_the_rule(http: httpx.Client, body: dict) -> None:
    response = http.post("/ml-commons/sparse/document", json=body)
    assert response.status_code == 422
    assert "one of texts, inputs, input" in response.json()["error"]["reason"]


def test_overload_carries_what_makes_ml_commons_try_again() -> None:
    response = render_error(problem_of(Overloaded("Full.", retry_after=2.1)))
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"
    assert response.headers["x-amzn-errortype"] == "ThrottlingException"
    calm = render_error(problem_of(EmptyText("Empty.")))
    assert "x-amzn-errortype" not in calm.headers
