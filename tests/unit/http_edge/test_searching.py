"""The searching routes before any cluster is asked: what is refused, in which shape, and without a word of it."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidInput
from sidecar.server.http.answers import json_response
from sidecar.server.http.body import check_depth
from tests.unit.http_edge.conftest import Serve, Served

SECRET = "xylophonequartz"

SEARCHING: dict[str, Any] = {
    "search_engine": "http://127.0.0.1:1",
    "search_indices": ("articles",),
    "search_bodies": True,
}
"""Nobody listens there."""

QUESTION = {"index": "articles", "text": SECRET}
OWN = {"index": "articles", "body": {"query": {"match": {"text": SECRET}}}}

PREFERENCES = ("", " ", "_shards:0", "_only_nodes:one", "x" * 257, 7)
"""What callers can't prefer."""

ROUTES = {"/v1/search": QUESTION, "/v1/augment": OWN, "/v1/search/body": OWN}


@pytest.fixture
def searching(serve: Serve) -> Served:
    return serve(**SEARCHING)


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    assert SECRET not in response.text
    content: dict[str, Any] = response.json()
    assert content["status"] == response.status_code
    return content


@pytest.mark.parametrize("path", ROUTES)
def test_a_cluster_that_is_down_is_a_503(searching: Served, path: str) -> None:
    response = searching.http.post(path, json=ROUTES[path])
    assert (response.status_code, problem(response)["reason"]) == (503, "ENGINE_UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1
    assert searching.http.post("/v1/encode", json={"texts": ["a cat"]}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/augment", "/v1/search/body"])
@pytest.mark.parametrize("preference", PREFERENCES[2:])
def test_callers_pick_no_shards_and_no_nodes(searching: Served, path: str, preference: object) -> None:
    response = searching.http.post(path, json={**OWN, "preference": preference})
    assert (response.status_code, problem(response)["field"]) == (422, "preference")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"index": 7}, "index"),
        ({"index": None}, "index"),
        ({"profile": ["hybrid"]}, "profile"),
        ({SECRET[:9]: 1}, SECRET[:9]),
    ],
)
def test_what_is_wrong_is_named(searching: Served, path: str, change: dict[str, Any], field: str) -> None:
    response = searching.http.post(path, json={**ROUTES[path], **change})
    assert (response.status_code, problem(response)["field"]) == (422, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": 1.5}, "from"),
        ({"from": 9_995}, "from"),
        ({"from_": 3}, "from_"),
        ({"size": "3"}, "size"),
        ({"size": True}, "size"),
        ({"size": 10_001}, "size"),
        ({"explain": 1}, "explain"),
        ({"filter": [[]]}, "filter"),
        ({"show": "title"}, "show"),
        ({"show": [""]}, "show[0]"),
        ({"show": ["a*b*c*d*e"]}, "show[0]"),
        ({"show": ["a"] * 257}, "show"),
        *[({"preference": wrong}, "preference") for wrong in PREFERENCES],
    ],
)
def test_what_is_wrong_with_a_question_is_named(searching: Served, change: dict[str, Any], field: str) -> None:
    response = searching.http.post("/v1/search", json={**QUESTION, **change})
    assert response.status_code == 422, response.text
    assert (problem(response)["field"] or "").startswith(field)


def test_one_of_many_unknown_keys_is_told_and_none_is_let_through(searching: Served) -> None:
    """`from` is no name of a Python field: it must not hide an unknown key behind it."""
    many = {f"unknown_{number}": number for number in range(30)}
    response = searching.http.post("/v1/search", json={**QUESTION, "from": 0, **many})
    assert (response.status_code, problem(response)["field"]) == (422, "unknown_0")


@pytest.mark.parametrize("path", ROUTES)
def test_bodies_have_a_size_of_their_own(searching: Served, path: str) -> None:
    large = {**ROUTES[path], "index": "x" * 1_100_000}
    response = searching.http.post(path, json=large)
    assert (response.status_code, problem(response)["reason"]) == (413, "TEXT_TOO_LARGE")
    # Routes with texts keep theirs.
    assert searching.http.post("/v1/encode", json={"texts": ["a cat"], "model": "x" * 1_100_000}).status_code == 404


@pytest.mark.parametrize("path", ["/v1/augment", "/v1/search/body"])
@pytest.mark.parametrize("depth", [65, 900])
def test_bodies_have_a_depth(searching: Served, path: str, depth: int) -> None:
    body = b'{"index": "articles", "body": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    response = searching.http.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert "deep" in problem(response)["detail"]


def test_a_token_and_warm_models_are_asked_for_first(serve: Serve) -> None:
    guarded = serve(auth_token="sesame", **SEARCHING)
    cold = serve(ready=False, **SEARCHING)
    for path, body in ROUTES.items():
        assert guarded.http.post(path, json=body).status_code == 401
        refused = cold.http.post(path, json=body)
        assert (refused.status_code, problem(refused)["reason"]) == (503, "NOT_READY")


def test_without_a_cluster_there_is_no_such_route(http: httpx.Client, served: Served, searching: Served) -> None:
    for path, body in ROUTES.items():
        assert http.post(path, json=body).json()["reason"] == "NO_SUCH_ROUTE"
    assert served.admin.get("/buildinfo").json()["search"] is None
    found = searching.admin.get("/buildinfo").json()["search"]
    assert (found["engine"], found["indices"], found["bodies"]) == ("http://127.0.0.1:1", ["articles"], True)


@given(
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
)
def test_depth_is_the_longest_way_down(content: object) -> None:
    deepest = _depth(content)
    check_depth(content, deepest)
    if deepest:
        with pytest.raises(InvalidInput):
            check_depth(content, deepest - 1)


def _depth(content: object) -> int:
    """How many values lie within each other, the outermost not counted."""
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return max((1 + _depth(value) for value in inner), default=0)


@given(st.text(st.characters(codec=None)))
def test_what_a_cluster_stores_can_be_answered(text: str) -> None:
    """JSON has an escape for a lone surrogate, UTF-8 has no form of one."""
    body = bytes(json_response({"source": {"title": text}}).body)
    if text.isascii():
        assert orjson.loads(body)["source"]["title"] == text
    else:
        assert _decoded(body) == text


def _decoded(body: bytes) -> str:
    import json

    title: str = json.loads(body)["source"]["title"]
    return title
