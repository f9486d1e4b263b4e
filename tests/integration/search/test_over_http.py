"""Searching over HTTP: a real `sidecar serve` answers as `AsyncSearcher` does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import httpx
import pytest

from sidecar.search import BUILT_IN, AsyncSearcher, Matching
from tests.integration.search.gateways import FED, QUERY, TOKEN, behind, gateway, http
from tests.support.openapi import described

__all__ = ["behind", "gateway", "http"]

pytestmark = pytest.mark.integration

BODY: dict[str, Any] = {
    "query": {"bool": {"must": [{"match": {"text": QUERY}}], "filter": [{"term": {"kind": "even"}}]}},
    "aggs": {"kinds": {"terms": {"field": "kind"}}},
    "size": 5,
}


async def answer(http: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    response = await http.post(path, json=body)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


async def refusal(http: httpx.AsyncClient, path: str, status: int, **body: object) -> dict[str, Any]:
    response = await http.post(path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    return content


def alike(mine: object, theirs: object) -> bool:
    """Equal but for the sixth digit: gRPC's weights are floats of 32 bits, the process's own of 64."""
    if isinstance(theirs, float):
        return isinstance(mine, float | int) and mine == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and mine.keys() == theirs.keys() and all(alike(mine[k], theirs[k]) for k in mine)
    if isinstance(theirs, list | tuple):
        return isinstance(mine, list) and len(mine) == len(theirs) and all(map(alike, mine, theirs))
    return mine == theirs


@pytest.mark.parametrize("profile", BUILT_IN)
async def test_every_profile_finds_what_it_finds_from_python(world, engine, behind, http, profile) -> None:
    searcher = AsyncSearcher(engine, behind, profile, index=world.index)
    for page in ({}, {"size": 3, "from": 4}, {"filter": {"term": {"kind": "odd"}}, "explain": True}):
        mine = await answer(http, "/v1/search", index=world.index, text=QUERY, profile=profile, **page)
        theirs = await searcher.search(
            QUERY, page.get("size", 10), page.get("from", 0), page.get("filter"), page.get("explain", False)
        )
        assert (mine["degraded"], mine["partial"], mine["total"]) == (None, False, None)
        assert mine["profile"] == profile
        assert alike(mine["hits"], [asdict(hit) for hit in theirs.hits])
        assert mine["timings"]["total_ms"] > 0


async def test_profiles_of_the_operators_folder(world, engine, behind, http, tmp_path) -> None:
    counted = await answer(http, "/v1/search", index=world.index, text="wolf", profile="counted", size=1)
    assert counted["total"] == 24
    file = tmp_path / "fed.yaml"
    file.write_text(FED)
    mine = await answer(http, "/v1/search", index=world.index, text=QUERY, profile="fed")
    theirs = await AsyncSearcher(engine, behind, str(file), index=world.index).search(QUERY)
    assert alike(mine["hits"], [asdict(hit) for hit in theirs.hits])
    assert mine["timings"]["feedback_ms"] > 0


async def test_what_is_shown_of_a_document_is_the_callers_choice(world, http) -> None:
    asked = {"index": world.index, "text": QUERY, "profile": "lexical", "size": 2}
    for show, names in ((["title", "k*"], {"title", "kind"}), ([], set()), (None, {"title", "text", "kind", "number"})):
        found = await answer(http, "/v1/search", **asked, show=show)
        assert [set(hit["source"]) for hit in found["hits"]] == [names, names]


@pytest.mark.parametrize("matching", list(Matching))
async def test_an_augmented_body_is_the_one_from_python(world, engine, behind, http, matching) -> None:
    searcher = AsyncSearcher(engine, behind, "hybrid", index=world.index)
    mine = await answer(http, "/v1/augment", index=world.index, body=BODY, profile="hybrid", matching=matching)
    theirs = await searcher.augment(BODY, matching=matching)
    assert alike(mine, asdict(theirs))
    assert mine["unchanged"] is None
    assert mine["body"]["aggs"] == BODY["aggs"]
    unchanged = await answer(http, "/v1/augment", index=world.index, body={"query": {"match_all": {}}})
    assert unchanged["unchanged"] == "NO_TEXT_QUERY"


async def test_a_body_is_answered_as_by_the_cluster_in_the_reranked_order(world, engine, behind, http) -> None:
    searcher = AsyncSearcher(engine, behind, "hybrid+rerank", index=world.index)
    mine = await answer(http, "/v1/search/body", index=world.index, body=BODY)
    theirs = await searcher.search_body(BODY)
    told = mine.pop("splade_sidecar")
    assert (told["unchanged"], told["not_reranked"], told["degraded"]) == (None, None, None)
    assert told["timings"]["rerank_ms"] > 0
    assert set(mine) == set(theirs.response)
    assert alike(mine["hits"], dict(theirs.response["hits"]))
    assert alike(mine["aggregations"], dict(theirs.response["aggregations"]))
    sorted_by_field = {**BODY, "sort": ["number"]}
    told = (await answer(http, "/v1/search/body", index=world.index, body=sorted_by_field))["splade_sidecar"]
    assert told["unchanged"] == "SORTED_BY_FIELD"


async def test_answers_are_as_the_openapi_document_describes_them(world, http) -> None:
    document = (await http.get("/openapi.json")).json()
    question = {"text": QUERY, "explain": True, "passages": True}
    for path, asked in (("/v1/search", question), ("/v1/augment", {"body": BODY}), ("/v1/search/body", {"body": BODY})):
        found = await answer(http, path, index=world.index, **asked)
        described(document, path, "post", "200").validate(found)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/augment", "/v1/search/body"])
async def test_only_what_is_listed_is_searched_by_profiles_that_are_served(world, http, path) -> None:
    query = {"text": QUERY} if path == "/v1/search" else {"body": BODY}
    for index in ("salaries", f"{world.index}x", ".security"):
        problem = await refusal(http, path, 403, index=index, **query)
        assert (problem["reason"], problem["field"]) == ("NOT_ALLOWED", "index")
    for index in (f"{world.index},salaries", "*", f"{world.index}/_doc/1", "_all", ""):
        problem = await refusal(http, path, 422, index=index, **query)
        assert (problem["reason"], problem["field"]) == ("INVALID_INPUT", "index")
    problem = await refusal(http, path, 422, index=world.index, profile="../fed", **query)
    assert (problem["reason"], problem["field"]) == ("PROFILE_INVALID", "profile")
    problem = await refusal(http, path, 404, index="missing-one", **query)
    assert problem["reason"] == "INDEX_NOT_FOUND"
    http.headers.pop("authorization")
    problem = await refusal(http, path, 401, index=world.index, **query)
    assert problem["reason"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"text": "  "}, "EMPTY_TEXT", "text"),
        ({"text": QUERY, "size": 0}, "INVALID_INPUT", "size"),
        ({"text": QUERY, "from": -1}, "INVALID_INPUT", "from"),
        ({"text": QUERY, "size": 10, "from": 9_991}, "INVALID_INPUT", "from"),
        ({"text": QUERY, "filter": {"script": {"script": "xylophone"}}}, "INVALID_INPUT", "filter"),
        ({"text": QUERY, "filter": {"range": {"number": {"gte": "xylophone"}}}}, "INVALID_INPUT", "filter"),
        ({"text": QUERY, "filter": {"range": {"number": {"gtee": 1}}}}, "INVALID_INPUT", "filter"),
        ({"text": QUERY, "filter": "xylophone"}, "INVALID_INPUT", "filter"),
        ({"text": QUERY, "xylophone": 1}, "INVALID_INPUT", "xylophone"),
        ({}, "INVALID_INPUT", "text"),
    ],
)
async def test_what_is_wrong_is_named_and_not_repeated(world, http, body, reason, field) -> None:
    problem = await refusal(http, "/v1/search", 422, index=world.index, **body)
    assert (problem["reason"], problem["field"]) == (reason, field)
    assert "xylophone" not in problem["detail"]


async def test_a_body_that_the_cluster_calls_wrong_is_the_callers(world, http) -> None:
    body = {"query": {"match": {"text": QUERY}}, "aggs": {"a": {"xylophone": {}}}}
    problem = await refusal(http, "/v1/search/body", 422, index=world.index, body=body)
    assert (problem["reason"], problem["field"]) == ("INVALID_INPUT", "body")


async def test_bodies_are_bounded_in_size_and_depth(world, http) -> None:
    clause: object = {"term": {"kind": "odd"}}
    for _ in range(40):
        clause = {"bool": {"filter": clause}}
    problem = await refusal(http, "/v1/search", 422, index=world.index, text=QUERY, filter=clause)
    assert "deep" in problem["detail"]
    large = {"terms": {"kind": ["x" * 1_000] * 1_100}}
    problem = await refusal(http, "/v1/search", 413, index=world.index, text=QUERY, filter=large)
    assert problem["reason"] == "TEXT_TOO_LARGE"


async def test_what_is_searchable_and_what_came_of_it_can_be_seen(world, gateway, http) -> None:
    await answer(http, "/v1/search", index=world.index, text=QUERY, profile="sparse")
    async with httpx.AsyncClient(base_url=gateway.admin_url, timeout=30.0, trust_env=False) as admin:
        search = (await admin.get("/buildinfo")).json()["search"]
        metrics = (await admin.get("/metrics")).text
    assert search["engine"] == world.url
    assert search["indices"] == [world.index, "missing-*"]
    assert set(search["profiles"]) == {*BUILT_IN, "fed", "counted"}
    assert search["bodies"] is True
    assert 'sidecar_searches_total{outcome="ok",profile="sparse",reason=""}' in metrics
    assert 'sidecar_search_stage_duration_seconds_count{profile="sparse",stage="encode"}' in metrics
    assert 'sidecar_texts_total{method="search"' in metrics
    assert TOKEN not in str(search)
    assert QUERY not in gateway.log_text()
