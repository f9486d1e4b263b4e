"""What arrives broken: on every route, in that route's shape, without a word of what was sent."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from sidecar.errors import InvalidInput, MalformedText
from sidecar.server.http import route
from sidecar.server.http.body import parse_json
from sidecar.server.http.problems import invalid_request
from tests.unit.http_edge.conftest import Serve

JSON = {"content-type": "application/json"}
SECRET = "xylophonequartz"

ROUTES: dict[str, str] = {
    "/v1/encode": '{"texts": ["%s"]}',
    "/v1/rerank": '{"query": "cat", "documents": ["%s"]}',
    "/v2/rerank": '{"query": "cat", "documents": [{"text": "%s"}]}',
    "/embed_sparse": '{"inputs": ["%s"]}',
    "/rerank": '{"query": "cat", "texts": ["%s"]}',
    "/ml-commons/sparse/document": '["%s"]',
    "/ml-commons/sparse/query": '{"texts": ["%s"]}',
    "/ml-commons/rerank": '{"query": "cat", "documents": ["%s"]}',
    "/elasticsearch/sparse_embedding": '{"input": ["%s"]}',
    "/elasticsearch/rerank": '{"query": "cat", "input": ["%s"]}',
    "/weaviate/rerank": '{"query": "cat", "documents": ["%s"]}',
}
"""Every route that takes texts, with a body that has one at %s."""


def message_of(path: str, response: httpx.Response) -> str:
    """Check that the error has the shape of the route's dialect, and return its message."""
    error = response.json()
    if path.startswith("/v"):
        assert response.headers["content-type"] == "application/problem+json"
        assert set(error) == {"type", "title", "status", "detail", "reason", "field"}
        assert error["status"] == response.status_code
        return str(error["detail"])
    assert response.headers["content-type"] == "application/json"
    if path in ("/embed_sparse", "/rerank"):
        assert set(error) == {"error", "error_type"}
        return str(error["error"])
    if path.startswith("/ml-commons"):
        assert set(error) == {"error", "status"}
        return str(error["error"]["reason"])
    if path.startswith("/elasticsearch"):
        return str(error["error"]["message"])
    assert set(error) == {"error"}
    return str(error["error"])


@pytest.mark.parametrize("path", ROUTES)
def test_the_bodies_of_this_file_are_sound(http: httpx.Client, path: str) -> None:
    response = http.post(path, content=(ROUTES[path] % "a cat").encode(), headers=JSON)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda body: (body % SECRET).encode()[:-1], 422),
        (lambda body: (body % SECRET).encode() + b"}", 422),
        (lambda body: (body % SECRET).encode().replace(b'"' + SECRET.encode() + b'"', b"NaN"), 422),
        (lambda body: (body % SECRET).encode().replace(b'"' + SECRET.encode() + b'"', b"123456789"), 422),
        (lambda body: (body % (SECRET + "\\ud800")).encode(), 422),
        (lambda body: (body % (SECRET + "\\udc00\\ud800")).encode(), 422),
        (lambda body: (body % (SECRET + "@")).encode().replace(b"@", b"\xff\xfe"), 422),
        (lambda body: (body % (SECRET + "@")).encode().replace(b"@", b"\xed\xa0\x80"), 422),
        (lambda body: b"", 422),
        (lambda body: b"null", 422),
        (lambda body: b"[" * 100_000, 422),
    ],
    ids=[
        "unfinished",
        "trailing",
        "nan",
        "number",
        "lone-high",
        "lone-pair",
        "not-utf8",
        "utf8-surrogate",
        "nothing",
        "null",
        "deep",
    ],
)
def test_broken_bodies_get_a_typed_error_in_shape(http: httpx.Client, path: str, make: object, status: int) -> None:
    assert callable(make)
    response = http.post(path, content=make(ROUTES[path]), headers=JSON)
    assert response.status_code == status, response.text
    assert message_of(path, response)
    assert SECRET not in response.text
    assert "123456789" not in response.text


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_only_json_is_read(http: httpx.Client, path: str, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    response = http.post(path, content=(ROUTES[path] % SECRET).encode(), headers=headers)
    assert response.status_code == 422
    assert "application/json" in message_of(path, response)


BLANK_TAKEN = {"/ml-commons/sparse/document", "/ml-commons/rerank", "/elasticsearch/rerank", "/weaviate/rerank"}
"""Routes for clusters, which send what a hit or a document has, also nothing."""


@pytest.mark.parametrize("path", sorted(set(ROUTES) - BLANK_TAKEN))
@pytest.mark.parametrize("text", ["", "   ", "\\u00a0\\n"])
def test_blank_texts_are_named(http: httpx.Client, path: str, text: str) -> None:
    response = http.post(path, content=(ROUTES[path] % text).encode(), headers=JSON)
    assert response.status_code == 422
    assert "[0]" in message_of(path, response)


@pytest.mark.parametrize("path", sorted(BLANK_TAKEN))
@pytest.mark.parametrize("text", ["", "   ", "\\u00a0\\n"])
def test_blank_texts_are_no_error_for_a_cluster(http: httpx.Client, path: str, text: str) -> None:
    response = http.post(path, content=(ROUTES[path] % text).encode(), headers=JSON)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ROUTES)
def test_ten_megabytes_of_text_are_refused(http: httpx.Client, path: str) -> None:
    response = http.post(path, content=(ROUTES[path] % (f"{SECRET} " * 650_000)).encode(), headers=JSON)
    assert response.status_code == 413, response.text[:200]
    assert "at most 1,048,576" in message_of(path, response)
    assert SECRET not in response.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(serve: Serve, chunked: bool) -> None:
    http = serve(max_request_bytes=2_048).http
    for path, template in ROUTES.items():
        body = (template % (SECRET * 300)).encode()
        content = iter([body[:1_000], body[1_000:]]) if chunked else body
        response = http.post(path, content=content, headers=JSON)
        assert response.status_code == 413, path
        assert "2048 bytes" in message_of(path, response)


def test_ten_thousand_texts_in_one_call_are_answered(http: httpx.Client) -> None:
    texts = [f"cat number {number}" for number in range(10_000)]
    answer = http.post("/v1/encode", json={"texts": texts, "side": "query", "model": "tiny-idf"}).json()
    assert len(answer["encodings"]) == 10_000
    assert all(encoding["vector"]["term_ids"] for encoding in answer["encodings"])


def test_more_texts_than_accepted_are_refused_at_once(http: httpx.Client) -> None:
    response = http.post("/v1/encode", json={"texts": ["cat"] * 16_385})
    assert (response.status_code, response.json()["reason"]) == (413, "TOO_MANY_TEXTS")


@pytest.mark.parametrize(
    ("pruning", "reason", "field"),
    [
        ({"type": "max_ratio", "value": -0.1}, "INVALID_PRUNING", "pruning.value"),
        ({"type": "max_ratio", "value": 1.0}, "INVALID_PRUNING", "pruning.value"),
        ({"type": "abs_value", "value": 0}, "INVALID_PRUNING", "pruning.value"),
        ({"type": "top_k", "value": 1.5}, "INVALID_PRUNING", "pruning.value"),
        ({"type": "alpha_mass", "value": -1}, "INVALID_PRUNING", "pruning.value"),
        ({"type": "abs_value", "value": "NaN"}, "INVALID_INPUT", "pruning.value"),
        ({"type": "abs_value", "value": None}, "INVALID_INPUT", "pruning.value"),
        ({"type": "half", "value": 0.5}, "INVALID_INPUT", "pruning.type"),
        ({"value": 0.5}, "INVALID_INPUT", "pruning.type"),
        ({"type": "none", "size": 3}, "INVALID_INPUT", "pruning.size"),
    ],
)
def test_pruning_out_of_range(http: httpx.Client, pruning: dict[str, object], reason: str, field: str) -> None:
    response = http.post("/v1/encode", json={"texts": ["cat"], "pruning": pruning})
    problem = response.json()
    assert (response.status_code, problem["reason"], problem["field"]) == (422, reason, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"texts": "cat"}, "texts"),
        ({"texts": ["cat", None]}, "texts[1]"),
        ({"texts": ["cat"], "side": "both"}, "side"),
        ({"texts": ["cat"], "lane": "fast"}, "lane"),
        ({"texts": ["cat"], "return_terms": "yes"}, "return_terms"),
        ({"texts": ["cat"], "windows": {"policy": "jump"}}, "windows.policy"),
        ({"texts": ["cat"], "windows": {"stride": -1}}, "windows.stride"),
        ({"texts": ["cat"], "windows": {"max_windows": 0}}, "windows.max_windows"),
        ({"texts": ["cat"], "windows": {"max_windows": 2**32}}, "windows.max_windows"),
        ({"texts": ["cat"], "windows": {"stride": 2**40}}, "windows.stride"),
        ({"texts": ["cat"], "tests": []}, "tests"),
        ({"texts": ["cat"], f"{SECRET} and more words": 1}, None),
    ],
)
def test_fields_are_named_and_values_are_not(http: httpx.Client, body: dict[str, object], field: str | None) -> None:
    response = http.post("/v1/encode", json=body)
    assert (response.status_code, response.json()["field"]) == (422, field)
    assert SECRET not in response.text


def test_a_hundred_thousand_wrong_items_are_told_once(http: httpx.Client) -> None:
    response = http.post("/v1/encode", json={"texts": list(range(100_000))})
    assert (response.status_code, response.json()["field"]) == (422, "texts[0]")
    assert len(response.content) < 500


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many errors each refused body had."""
    counts: list[int] = []

    def counting(errors: Iterable[Mapping[str, Any]]) -> InvalidInput:
        found = list(errors)
        counts.append(len(found))
        return invalid_request(found)

    monkeypatch.setattr(route, "invalid_request", counting)
    return counts


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("item", ["1", "{}"])
def test_wrong_items_are_looked_at_until_the_first(http: httpx.Client, path: str, item: str, told: list[int]) -> None:
    body = (ROUTES[path] % SECRET).replace(f'{{"text": "{SECRET}"}}', f'"{SECRET}"')
    body = body.replace(f'"{SECRET}"', ",".join([item] * 1_000))
    response = http.post(path, content=body.encode(), headers=JSON)
    assert response.status_code == 422
    assert "[0]" in response.text or "Token ids" in response.text
    # A union of shapes has one error for each of them.
    assert max(told) <= 5


def test_of_many_unknown_keys_one_is_told(http: httpx.Client, told: list[int]) -> None:
    many = {f"key_{number}": number for number in range(10_000)}
    response = http.post("/v1/encode", json={"texts": ["a cat"], **many})
    assert (response.status_code, response.json()["field"]) == (422, "key_0")
    nested = http.post("/v1/encode", json={"texts": ["a cat"], "windows": {"policy": "slide", **many}})
    assert (nested.status_code, nested.json()["field"]) == (422, "windows.key_0")
    assert told == [1, 1]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_compressed_bodies_are_refused_by_name(http: httpx.Client, path: str, coding: str) -> None:
    packed = gzip.compress((ROUTES[path] % "a cat").encode())
    response = http.post(path, content=packed, headers={**JSON, "content-encoding": coding})
    assert response.status_code == 422
    assert "compressed" in message_of(path, response)
    plain = (ROUTES[path] % "a cat").encode()
    assert http.post(path, content=plain, headers={**JSON, "content-encoding": "Identity"}).status_code == 200


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_typed_error(body: bytes) -> None:
    try:
        content = parse_json(body, Headers(JSON))
    except InvalidInput as error:
        words = ("UTF-8", "surrogate") if isinstance(error, MalformedText) else ("JSON",)
        told = [word for word in words if word in error.message]
        assert told
    else:
        assert content is None or orjson.loads(orjson.dumps(content)) == content


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=20))
def test_sound_json_is_read_as_it_is(content: object) -> None:
    assert parse_json(orjson.dumps(content), Headers(JSON)) == content


@pytest.mark.parametrize(
    "body",
    [
        {"texts": ["cat"], "model": "SECRETTEXT"},
        {"texts": ["cat"], "side": "SECRETTEXT"},
        {"texts": ["cat"], "lane": "SECRETTEXT"},
        {"texts": ["cat"], "windows": {"policy": "SECRETTEXT"}},
        {"texts": ["cat"], "pruning": {"type": "SECRETTEXT", "value": 1}},
        {"texts": ["cat"], "expected_fingerprint": "SECRETTEXT"},
        {"texts": "SECRETTEXT"},
        {"texts": ["cat"], "SECRETTEXT": 1},
        {"texts": ["cat"], "a key with SECRETTEXT": "SECRETTEXT"},
    ],
)
def test_no_value_that_was_sent_comes_back(http: httpx.Client, body: dict[str, object]) -> None:
    response = http.post("/v1/encode", json=body)
    assert 400 <= response.status_code < 500
    assert "SECRETTEXT" not in response.text


def test_an_unknown_key_is_named_where_it_looks_like_one(http: httpx.Client) -> None:
    assert http.post("/v1/encode", json={"texts": ["cat"], "sides": "query"}).json()["field"] == "sides"
