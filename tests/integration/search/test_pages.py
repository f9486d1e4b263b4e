"""Paging through everything, on a real node: every document on one page and on one only."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from sidecar.engine import Engine
from sidecar.errors import EngineRejected, InvalidInput
from sidecar.search import BUILT_IN, AsyncSearcher, NotReranked, Profile
from tests.integration.search.conftest import World, documents, put

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river in the snow"
RATIO = 0.7
"""Above some weights of the query: the tiny model's IDF are close to one another."""

PHASES = {"kind": "sparse", "weight": 0.5, "two_phase": {"ratio": RATIO, "window": 5}}
HEAVY = {"kind": "sparse", "weight": 0.5, "pruning": {"type": "max_ratio", "value": RATIO}}
LEXICAL = {"kind": "lexical", "weight": 0.5}
SORT = ["_score", {"number": "desc"}]


def profile(*retrievers: dict[str, object], **more: object) -> Profile:
    return Profile.parse({"name": "phases", "retrievers": retrievers, "candidates": 20, **more})


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "three shards"])
def sharded(request, opensearch, search_sidecar) -> Iterator[World]:
    index = f"pages-{uuid.uuid4().hex[:8]}"
    asyncio.run(put(opensearch.url, search_sidecar.target, index, documents(), shards=request.param))
    yield World(opensearch.url, search_sidecar.target, index)

    async def gone() -> None:
        async with await Engine.connect(opensearch.url) as engine:
            await engine.delete_index(index)

    asyncio.run(gone())


async def every_page(searcher: AsyncSearcher, size: int) -> list[str]:
    """Return the ids of all hits there are, page by page."""
    seen: list[str] = []
    while page := (await searcher.search(QUERY, size=size, from_=len(seen))).hits:
        seen.extend(hit.id for hit in page)
    return seen


@pytest.mark.parametrize(
    "chosen",
    [
        profile(PHASES),
        profile(LEXICAL, PHASES),
        profile(LEXICAL, PHASES, fusion={"method": "linear", "normalization": "none"}),
        profile(PHASES, rerank={"depth": 8}),
    ],
    ids=["sparse", "hybrid", "summed", "reranked"],
)
async def test_two_phases_show_every_document_once(sharded, engine, client, chosen) -> None:
    searcher = AsyncSearcher(engine, client, chosen, index=sharded.index)
    seen = await every_page(searcher, 7)
    assert len(set(seen)) == len(seen)
    whole = await searcher.search(QUERY, size=500)
    assert seen == [hit.id for hit in whole.hits]


async def test_behind_the_window_the_first_phase_decides(sharded, engine, client) -> None:
    """On several shards, whose windows are their own, the scores do: those behind the windows are the first phase's."""
    phased = await AsyncSearcher(engine, client, profile(PHASES), index=sharded.index).search(QUERY, size=500)
    heavy = await AsyncSearcher(engine, client, profile(HEAVY), index=sharded.index).search(QUERY, size=500)
    first = {hit.id: hit.first_stage_score for hit in heavy.hits}
    assert {hit.id for hit in phased.hits} == set(first)
    scores = [hit.first_stage_score for hit in phased.hits]
    assert scores == sorted(scores, reverse=True)
    rescored = {hit.id for hit in phased.hits if hit.first_stage_score > first[hit.id] * (1 + 1e-5)}
    assert {hit.id for hit in heavy.hits[:20]} <= rescored
    meta = await engine._transport.read("GET", f"/{sharded.index}/_settings")
    if meta[sharded.index]["settings"]["index"]["number_of_shards"] == "1":
        assert len(rescored) == 20
        assert [hit.id for hit in phased.hits[20:]] == [hit.id for hit in heavy.hits[20:]]


@pytest.mark.parametrize(
    "chosen",
    [
        profile(LEXICAL, count_hits=True),
        profile(LEXICAL, HEAVY, count_hits=True),
        profile(LEXICAL, PHASES, count_hits=True),
        profile(LEXICAL, HEAVY, count_hits=True, fusion={"method": "linear", "normalization": "none"}),
    ],
    ids=["lexical", "hybrid", "two phases", "summed"],
)
async def test_the_total_is_what_can_be_paged_through(sharded, engine, client, chosen) -> None:
    searcher = AsyncSearcher(engine, client, chosen, index=sharded.index)
    only = {"term": {"kind": "odd"}}
    for filters in (None, only):
        page = await searcher.search(QUERY, size=3, filter=filters)
        whole = await searcher.search(QUERY, size=500, filter=filters)
        assert page.total == whole.total == len(whole.hits)


async def test_what_two_retrievers_find_is_counted_once(world, engine, client) -> None:
    """For the cluster's analyzer an underscore is part of a word, for the model's it is none: each finds its own."""
    sparse = {"kind": "sparse", "pruning": {"type": "top_k", "value": 1}}
    totals = []
    for retrievers in ([LEXICAL], [sparse], [LEXICAL, sparse]):
        searcher = AsyncSearcher(engine, client, profile(*retrievers, count_hits=True), index=world.index)
        result = await searcher.search("wolf_river snow", size=500)
        assert result.total == len(result.hits)
        totals.append(result.total)
    assert totals == [60, 40, 90]


BODY = {"query": {"match": {"text": "wolf near the river"}}, "_source": False, "track_total_hits": True}


@pytest.mark.parametrize("name", ["hybrid+rerank", "lexical+rerank", "sparse"])
async def test_a_cursor_meets_every_document_once(world, engine, client, name) -> None:
    searcher = AsyncSearcher(engine, client, name, index=world.index)
    body = {**BODY, "sort": SORT, "size": 50}
    reason = NotReranked.OWN_SORT if name.endswith("+rerank") else None
    first = answer = await searcher.search_body(body)
    seen: list[str] = []
    while hits := answer.response["hits"]["hits"]:
        assert answer.not_reranked == reason
        assert not any("_rerank_score" in hit for hit in hits)
        seen.extend(hit["_id"] for hit in hits)
        answer = await searcher.search_body({**body, "search_after": hits[-1]["sort"]})
    assert len(seen) == len(set(seen)) == first.response["hits"]["total"]["value"]


@pytest.mark.parametrize("sort", ["_score", ["_score"], [{"_score": "desc"}], {"_score": {"order": "desc"}}, [], None])
async def test_the_score_alone_is_no_order_of_ones_own(world, engine, client, sort) -> None:
    """Such hits have no `sort` values, so nothing could go on from them."""
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    answer = await searcher.search_body({**BODY, "sort": sort} if sort is not None else BODY)
    hits = answer.response["hits"]["hits"]
    assert answer.not_reranked is None
    assert all("_rerank_score" in hit and "sort" not in hit for hit in hits)
    with pytest.raises(EngineRejected):
        await searcher.search_body({**BODY, "sort": sort or [], "search_after": [1.0]})


NUMBERS = (0, 2.0, 2.9, -1, 20_000, 1e12, "0", "2", "2.0", " 2 ", "2.9", "2e0", "-1", "20000")
ODD = (*NUMBERS, True, None, "two", "", [2], {"a": 2})


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", ["size", "from"])
async def test_a_page_is_what_the_cluster_takes_it_for(world, engine, client, key, value) -> None:
    """A reranked body is refused where the plain one is, and has as many hits where it is not."""
    body = {"query": {"match": {"text": {"query": "wolf snow", "operator": "and"}}}, key: value}
    chosen = BUILT_IN["lexical+rerank"]
    searcher = AsyncSearcher(engine, client, chosen, index=world.index)
    try:
        plain = await engine.search(world.index, body)
    except EngineRejected:
        with pytest.raises((EngineRejected, InvalidInput)):
            await searcher.search_body(body)
        return
    answer = await searcher.search_body(body)
    hits = answer.response["hits"]["hits"]
    assert len(hits) == len(plain.hits)
    assert all("_rerank_score" in hit for hit in hits)
