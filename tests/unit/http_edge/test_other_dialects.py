"""Elasticsearch's `custom` inference service and Weaviate's reranker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from sidecar.domain import Side, WindowPolicy, Windows
from sidecar.inference import InferenceService
from tests.unit.http_edge.conftest import Serve

SPARSE, RERANK = "/elasticsearch/sparse_embedding", "/elasticsearch/rerank"
TEXTS = ["cat and dog", "a river in new york"]
DOCUMENTS = ["london is rainy", "new york is sunny today", "a cat"]


PAGE = Path(__file__).parents[3] / "docs" / "http.md"


def _documented(task: str) -> dict[str, dict]:
    """Return the settings of the inference endpoint that the page shows for a route."""
    blocks = [orjson.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)]
    found = [block["service_settings"] for block in blocks if block.get("service") == "custom"]
    (settings,) = [one for one in found if one["url"].endswith(f"/elasticsearch/{task}")]
    return settings


def _filled(settings: dict, **values: str) -> bytes:
    """Fill the template as Elasticsearch does: values are JSON already, but for the query of a rerank request."""
    return re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], settings["request"]).encode()


@pytest.mark.parametrize("input_type", ["ingest", "search"])
def test_the_documented_endpoint_for_vectors(http: httpx.Client, input_type: str) -> None:
    settings = _documented("sparse_embedding")
    translated = settings["input_type"]["translation"][input_type]
    body = _filled(settings, input=orjson.dumps(TEXTS).decode(), input_type=orjson.dumps(translated).decode())
    response = http.post(SPARSE, content=body, headers=settings["headers"])
    assert response.status_code == 200, response.text
    tokens, weights = (
        list(_read(response.json(), settings["response"]["json_parser"][path].removeprefix("$.")))
        for path in ("token_path", "weight_path")
    )
    assert len(tokens) == len(weights) > 0


def test_the_documented_endpoint_for_reranking(http: httpx.Client) -> None:
    settings = _documented("rerank")
    documents = orjson.dumps(DOCUMENTS).decode()
    body = _filled(settings, query="weather in new york", input=documents)
    response = http.post(RERANK, content=body, headers=settings["headers"])
    assert response.status_code == 200, response.text
    found = {
        name: list(_read(response.json(), path.removeprefix("$.")))
        for name, path in settings["response"]["json_parser"].items()
    }
    assert sorted(found["reranked_index"]) == [0, 1, 2]
    assert [DOCUMENTS[index] for index in found["reranked_index"]] == found["document_text"]
    assert len(found["relevance_score"]) == 3
    broken = _filled(settings, query='he said "no"', input=documents)
    assert http.post(RERANK, content=broken, headers=settings["headers"]).status_code == 422


def _read(content: object, path: str) -> Iterator[object]:
    """Follow a path such as `result.scores[*].score` as Elasticsearch's json_parser does."""
    name, _, rest = path.partition(".")
    assert isinstance(content, dict)
    found = content[name.removesuffix("[*]")]
    for item in found if name.endswith("[*]") else [found]:
        if rest:
            yield from _read(item, rest)
        else:
            yield item


@pytest.mark.parametrize(
    ("input_type", "side"),
    [
        ("", Side.DOCUMENT),
        ("ingest", Side.DOCUMENT),
        ("internal_ingest", Side.DOCUMENT),
        ("document", Side.DOCUMENT),
        ("search", Side.QUERY),
        ("internal_search", Side.QUERY),
        ("query", Side.QUERY),
    ],
)
def test_tokens_and_weights_are_where_the_parser_looks(
    http: httpx.Client, service: InferenceService, input_type: str, side: Side
) -> None:
    response = http.post(SPARSE, params={"model": "tiny-idf"}, json={"input": TEXTS, "input_type": input_type})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert list(_read(answer, "result.sparse_embeddings[*].index")) == [0, 1]
    expected = asyncio.run(service.encode(TEXTS, side=side, model="tiny-idf")).encodings
    tokens = list(_read(answer, "result.sparse_embeddings[*].embedding[*].token_id"))
    weights = list(_read(answer, "result.sparse_embeddings[*].embedding[*].weight"))
    assert tokens == [term_id for encoding in expected for term_id in encoding.vector.term_ids]
    assert weights == pytest.approx([w for encoding in expected for w in encoding.vector.weights], rel=1e-5)


def test_the_side_defaults_to_document_and_words_come_on_request(http: httpx.Client) -> None:
    by_default = http.post(SPARSE, json={"input": TEXTS}).json()
    assert by_default == http.post(SPARSE, json={"input": TEXTS, "input_type": "document"}).json()
    words = http.post(SPARSE, json={"input": "cat and dog", "token_format": "word", "input_type": "query"}).json()
    assert {"cat", "dog"} <= set(_read(words, "result.sparse_embeddings[*].embedding[*].token_id"))


def test_elasticsearchs_documents_are_read_whole(http: httpx.Client, service: InferenceService) -> None:
    long = " ".join(TEXTS * 40)
    answer = http.post(SPARSE, json={"input": long}).json()
    whole, head = (
        asyncio.run(service.encode([long], windows=Windows(policy))).encodings[0].vector
        for policy in (WindowPolicy.SLIDE, WindowPolicy.TRUNCATE)
    )
    weights = list(_read(answer, "result.sparse_embeddings[*].embedding[*].weight"))
    assert weights == pytest.approx(list(whole.weights), rel=1e-5)
    assert weights != pytest.approx(list(head.weights), rel=1e-5)


def test_elasticsearch_reads_the_message_of_an_error(http: httpx.Client) -> None:
    response = http.post(SPARSE, json={"input": ["cat", ""], "input_type": "search"})
    assert response.status_code == 422
    assert list(_read(response.json(), "error.message")) == ["input[1] is empty or only white space."]
    assert response.json()["error"]["type"] == "empty_text"
    assert http.post(SPARSE, json={"input": "cat", "input_type": "dance"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (SPARSE, {"input": " "}, "input is empty or only white space."),
        (SPARSE, {"input": ["cat", 7]}, "input[1]: Must be a string."),
        (RERANK, {"query": "", "input": ["cat"]}, "query is empty or only white space."),
        (RERANK, {"query": "cat"}, "input: Required, but missing."),
    ],
)
def test_elasticsearch_reads_the_names_of_its_own_request(
    http: httpx.Client, path: str, body: object, message: str
) -> None:
    assert http.post(path, json=body).json()["error"]["message"] == message


def test_elasticsearch_rerank_scores_every_document(http: httpx.Client, service: InferenceService) -> None:
    body = {"query": "weather in new york", "input": DOCUMENTS, "top_n": 1, "return_documents": True}
    answer = http.post(RERANK, json=body).json()
    expected = asyncio.run(service.rerank("weather in new york", DOCUMENTS)).results
    indices = list(_read(answer, "result.scores[*].index"))
    assert indices == [document.index for document in expected]
    assert list(_read(answer, "result.scores[*].score")) == pytest.approx([d.score for d in expected], abs=1e-4)
    assert list(_read(answer, "result.scores[*].document_text")) == [DOCUMENTS[index] for index in indices]
    without = http.post(RERANK, json={"query": "cat", "input": DOCUMENTS, "return_documents": None}).json()
    assert all(set(score) == {"index", "score"} for score in _read(without, "result.scores[*]"))


def test_weaviate_rerank_keeps_the_order_of_the_documents(http: httpx.Client, service: InferenceService) -> None:
    response = http.post("/weaviate/rerank", json={"query": "weather in new york", "documents": DOCUMENTS})
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["query", "scores"]
    assert answer["query"] == "weather in new york"
    assert [score["document"] for score in answer["scores"]] == DOCUMENTS
    expected = {d.index: d.score for d in asyncio.run(service.rerank("weather in new york", DOCUMENTS)).results}
    assert [score["score"] for score in answer["scores"]] == pytest.approx([expected[i] for i in range(3)], abs=1e-4)


def test_documents_without_a_text_are_the_lowest(http: httpx.Client) -> None:
    documents = ["", *DOCUMENTS, " "]
    own = {
        one["document"]: one["score"]
        for one in http.post("/weaviate/rerank", json={"query": "weather in new york", "documents": documents}).json()[
            "scores"
        ]
    }
    assert own[""] == own[" "] == min(own[text] for text in DOCUMENTS) - 1.0
    scores = http.post(RERANK, json={"query": "weather in new york", "input": documents}).json()["result"]["scores"]
    assert [one["index"] for one in scores][-2:] == [0, 4]
    assert {documents[one["index"]]: one["score"] for one in scores} == pytest.approx(own)
    long = http.post(RERANK, json={"query": "a", "input": ["", "x" * 2_000_000]})
    assert "input[1]" in long.json()["error"]["message"]


def test_weaviate_errors_and_meta(http: httpx.Client) -> None:
    response = http.post("/weaviate/rerank", json={"query": "", "documents": ["cat"]})
    assert response.status_code == 422
    assert response.json() == {"error": "query is empty or only white space."}
    response = http.post("/weaviate/rerank", json={"query": "cat", "documents": ["cat", 7]})
    assert response.json() == {"error": "documents[1]: Must be a string."}
    assert list(http.get("/weaviate/meta").json()) == ["tiny-cross-encoder"]


def test_weaviate_waits_for_readiness(serve: Serve) -> None:
    served = serve(ready=False, auth_token="secret")
    assert served.http.get("/weaviate/.well-known/live").status_code == 204
    assert served.http.get("/weaviate/.well-known/ready").status_code == 503
    served.state.become_ready(served.service.models(), threads=1)
    ready = served.http.get("/weaviate/.well-known/ready")
    assert (ready.status_code, ready.content) == (204, b"")
