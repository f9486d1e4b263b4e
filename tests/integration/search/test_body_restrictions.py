"""What an application's own body restricts, restricts its augmented form; what it hides, stays hidden. A real node."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Iterator

import pytest

from sidecar.engine import Engine
from sidecar.search import AsyncSearcher, Matching, Unchanged
from tests.integration.search.conftest import put

pytestmark = pytest.mark.integration

PLANS = "the secret plan of the wolf"

FIRST, SECOND = (
    {"tenant_id": 1, "tenant": "acme", "public": True},
    {"tenant_id": 2, "tenant": "umbrella", "public": False},
)

DOCUMENTS = [
    {"_id": "own", "title": "plan", "text": "a secret plan near the river", "kind": "report", **FIRST},
    {"_id": "vague", "title": "wolf", "text": "the wolf in the snow", "kind": "note", **FIRST},
    {"_id": "theirs", "title": "plan", "text": "the secret plan of the wolf", "kind": "report", **SECOND},
    {"_id": "other", "title": "acme", "text": "acme and the cold river", "kind": "note", **SECOND},
]

TEXT = {"match": {"text": "secret plan"}}


@pytest.fixture(scope="module")
def shop(world) -> Iterator[str]:
    """An index with fields of every kind, as a cluster maps them by itself."""
    index = f"restricted-{uuid.uuid4().hex[:8]}"
    asyncio.run(put(world.url, world.target, index, DOCUMENTS))
    yield index
    asyncio.run(_delete(world.url, index))


async def _delete(url: str, index: str) -> None:
    async with await Engine.connect(url) as engine:
        await engine.delete_index(index, missing_ok=True)


def ids(answer) -> set[str]:
    return {hit["_id"] for hit in answer.response["hits"]["hits"]}


@pytest.mark.parametrize(
    ("clause", "allowed"),
    [
        ({"match": {"tenant_id": 1}}, {"own", "vague"}),
        ({"match": {"tenant_id": "1"}}, {"own", "vague"}),
        ({"match": {"tenant_id": {"query": 1, "boost": 2}}}, {"own", "vague"}),
        ({"match": {"public": True}}, {"own", "vague"}),
        ({"match": {"tenant": "acme"}}, {"own", "vague"}),
        ({"match_phrase": {"tenant.keyword": "acme"}}, {"own", "vague"}),
        ({"match": {"kind": "note"}}, {"vague", "other"}),
        ({"query_string": {"query": "tenant:acme"}}, {"own", "vague"}),
        ({"query_string": {"query": "acme", "default_field": "tenant"}}, {"own", "vague"}),
        ({"multi_match": {"query": "acme", "fields": ["tenant", "kind"]}}, {"own", "vague"}),
        ({"dis_max": {"queries": [TEXT, {"match": {"tenant": "acme"}}]}}, {"own", "vague", "theirs"}),
        ({"constant_score": {"filter": {"term": {"tenant_id": 1}}}}, {"own", "vague"}),
        ({"bool": {"should": [{"match": {"tenant_id": 1}}, {"match": {"tenant": "acme"}}]}}, {"own", "vague"}),
    ],
)
async def test_no_document_is_found_that_the_body_does_not_allow(shop, engine, client, clause, allowed) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=shop)
    for text, must in ((None, [TEXT, clause]), ("secret plan", [clause, TEXT])):
        answer = await searcher.search_body({"query": {"bool": {"must": must}}}, text)
        assert ids(answer) <= allowed


async def test_what_is_left_of_the_text_is_still_augmented(shop, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=shop)
    body = {"query": {"bool": {"must": [{"match": {"text": PLANS}}, {"match": {"tenant_id": 1}}]}}}
    answer = await searcher.search_body(body)
    assert (answer.unchanged, answer.degraded) == (None, None)
    assert ids(answer) == {"own", "vague"}


@pytest.mark.parametrize("typed", ["acme", "1", "umbrella"])
async def test_what_is_typed_never_decides_what_restricts(shop, engine, client, typed) -> None:
    """A user of one tenant who types its name, or another's, into a search that restricts by it."""
    searcher = AsyncSearcher(engine, client, "hybrid", index=shop)
    for clause in ({"match": {"tenant": "acme"}}, {"match": {"tenant_id": "1"}}):
        body = {"query": {"bool": {"must": [{"match": {"text": typed}}, clause]}}}
        for text in (typed, None):
            answer = await searcher.search_body(body, text)
            assert answer.unchanged is None
            assert ids(answer) <= {"own", "vague"}


async def test_a_minimum_of_should_clauses_restricts(shop, engine, client) -> None:
    should = [{"term": {"tenant_id": 1}}, {"match": {"public": True}}]
    body = {"query": {"bool": {"must": [{"match": {"text": PLANS}}], "should": should, "minimum_should_match": 1}}}
    answer = await AsyncSearcher(engine, client, "hybrid", index=shop).search_body(body)
    assert answer.unchanged is None
    assert ids(answer) == {"own", "vague"}
    both = [{"match": {"text": PLANS}}, {"term": {"tenant_id": 1}}]
    for minimum in (2, "100%"):
        body = {"query": {"bool": {"should": both, "minimum_should_match": minimum}}}
        answer = await AsyncSearcher(engine, client, "hybrid", index=shop).search_body(body)
        assert answer.unchanged is None
        assert ids(answer) == {"own", "vague"}


async def test_boosts_apply_to_what_only_the_vector_finds(shop, engine, client) -> None:
    must = [{"match": {"text": {"query": "secret wolf", "operator": "and"}}}]
    boost = {"term": {"kind": {"value": "note", "boost": 100.0}}}
    searcher = AsyncSearcher(engine, client, "hybrid", index=shop)
    plain = await searcher.search_body({"query": {"bool": {"must": must}}})
    boosted = await searcher.search_body({"query": {"bool": {"must": must, "should": [boost]}}})
    own = await engine.search(shop, {"query": {"bool": {"must": must}}})
    assert {hit.id for hit in own.hits} == {"theirs"}
    assert ids(boosted) == ids(plain) >= {"vague", "theirs"}
    before, after = (
        {hit["_id"]: hit["_score"] for hit in answer.response["hits"]["hits"]} for answer in (plain, boosted)
    )
    assert after["vague"] > before["vague"] + 20.0
    assert after["theirs"] == pytest.approx(before["theirs"], rel=1e-5)
    assert boosted.response["hits"]["hits"][0]["_source"]["kind"] == "note"


SHOWING = {
    "_source": ["*"],
    "aggs": {
        "best": {"top_hits": {"size": 2}},
        "kinds": {"terms": {"field": "kind"}, "aggs": {"best": {"top_hits": {"_source": ["title", "splade*"]}}}},
    },
    "collapse": {"field": "kind", "inner_hits": [{"name": "few", "size": 2}, {"name": "bare", "_source": False}]},
}


def shown(node: object) -> Iterator[dict[str, object]]:
    """Every `_source` in an answer."""
    if isinstance(node, dict):
        if "_source" in node:
            yield node["_source"]
        for value in node.values():
            yield from shown(value)
    elif isinstance(node, list):
        for value in node:
            yield from shown(value)


@pytest.mark.parametrize("profile", ["lexical", "hybrid+rerank"])
async def test_no_part_of_an_answer_carries_vectors_or_hashes(shop, engine, client, profile) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=shop)
    for query, more in (
        ({"match": {"text": "secret plan"}}, {}),
        ({"match": {"text": "secret plan"}}, {"sort": [{"tenant_id": "asc"}], "_source": True}),
        ({"match_all": {}}, {}),
        ({"bool": {"filter": [{"term": {"tenant_id": 1}}]}}, {"_source": {"excludes": ["title"]}}),
    ):
        body = {"query": query, **SHOWING, **more}
        before = copy.deepcopy(body)
        sources = list(shown((await searcher.search_body(body)).response))
        assert len(sources) > 6
        assert not [source for source in sources if {"splade", "splade_hash"} & set(source)]
        assert any("tenant" in source for source in sources)
        assert body == before


@pytest.mark.parametrize("matching", Matching)
async def test_what_an_application_sends_itself_shows_none_either(shop, engine, client, matching) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=shop)
    for body, reason in (
        ({"query": TEXT, **SHOWING}, None),
        ({"query": TEXT, **SHOWING, "sort": ["tenant_id"]}, Unchanged.SORTED_BY_FIELD),
        (SHOWING, Unchanged.NO_TEXT_QUERY),
    ):
        before = copy.deepcopy(body)
        augmented = await searcher.augment(body, matching=matching)
        assert augmented.unchanged == reason
        sources = list(shown(await engine.read("POST", f"/{shop}/_search", body=augmented.body)))
        assert sources
        assert not [source for source in sources if {"splade", "splade_hash"} & set(source)]
        assert body == before


async def test_nested_inner_hits_show_none_either(shop, engine, client) -> None:
    await engine.put_mapping(shop, {"properties": {"parts": {"type": "nested"}}})
    inner = {"path": "parts", "query": {"match_all": {}}, "ignore_unmapped": True, "inner_hits": {"_source": ["*"]}}
    body = {"query": {"bool": {"must": [TEXT], "should": [{"nested": inner}]}}}
    answer = await AsyncSearcher(engine, client, "hybrid", index=shop).search_body(body)
    assert answer.unchanged is None
    assert ids(answer)
    assert not [source for source in shown(answer.response) if {"splade", "splade_hash"} & set(source)]
