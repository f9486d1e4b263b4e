"""An application's own body, augmented and executed on a real cluster."""

from __future__ import annotations

import copy

import pytest

from sidecar.search import AsyncSearcher, Matching, Unchanged

pytestmark = pytest.mark.integration

BODY = {
    "query": {
        "bool": {
            "must": [{"match": {"text": {"query": "wolf near the river"}}}],
            "filter": [{"term": {"kind": "odd"}}],
            "must_not": [{"range": {"number": {"lt": 10}}}],
        }
    },
    "aggs": {"kinds": {"terms": {"field": "kind"}}},
    "highlight": {"fields": {"text": {}}},
    "size": 7,
    "from": 2,
    "sort": ["_score"],
    "track_total_hits": True,
}


@pytest.mark.parametrize("profile", ["sparse", "hybrid", "hybrid+rerank"])
async def test_everything_of_the_body_is_kept(world, engine, client, profile) -> None:
    before = copy.deepcopy(BODY)
    searcher = AsyncSearcher(engine, client, profile, index=world.index)
    answer = await searcher.search_body(BODY)
    assert before == BODY
    assert (answer.unchanged, answer.degraded) == (None, None)
    hits = answer.response["hits"]["hits"]
    assert len(hits) == 7
    for hit in hits:
        assert hit["_source"]["kind"] == "odd"
        assert hit["_source"]["number"] >= 10
        assert "splade" not in hit["_source"]
        assert "splade_hash" not in hit["_source"]
        assert ("_rerank_score" in hit) == profile.endswith("+rerank")
    assert [bucket["key"] for bucket in answer.response["aggregations"]["kinds"]["buckets"]] == ["odd"]
    assert any("highlight" in hit for hit in hits)


async def test_the_augmented_body_is_the_clusters_own_language(world, engine, client) -> None:
    """One changed line in the application: its own client sends what `augment` returns."""
    searcher = AsyncSearcher(engine, client, "hybrid", index=world.index)
    augmented = await searcher.augment(BODY)
    assert augmented.unchanged is None
    own = await engine.search(world.index, augmented.body)
    ours = await searcher.search_body(BODY)
    assert [hit.id for hit in own.hits] == [hit["_id"] for hit in ours.response["hits"]["hits"]]


@pytest.mark.parametrize("stored", ["_none_", ["kind"]])
async def test_hits_without_a_source_stay_without(world, engine, client, stored) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=world.index)
    answer = await searcher.search_body({**BODY, "stored_fields": stored})
    hits = answer.response["hits"]["hits"]
    assert len(hits) == 7
    assert all("_source" not in hit for hit in hits)


async def test_matching_own_keeps_the_counts(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid", index=world.index)
    body = {"query": {"match": {"text": {"query": "wolf river", "operator": "and"}}}, "track_total_hits": True}
    plain = await engine.search(world.index, body)
    own = await searcher.search_body(body, matching=Matching.OWN)
    extended = await searcher.search_body(body)
    assert own.response["hits"]["total"]["value"] == plain.total
    assert extended.response["hits"]["total"]["value"] > plain.total


async def test_pages_of_a_reranked_body_fit_together(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    body = {"query": {"match": {"text": "wolf near the river in the snow"}}}

    async def ids(start: int, size: int) -> list[str]:
        answer = await searcher.search_body({**body, "from": start, "size": size})
        return [hit["_id"] for hit in answer.response["hits"]["hits"]]

    whole = await ids(0, 120)
    assert [name for start in range(0, 120, 40) for name in await ids(start, 40)] == whole


async def test_source_filtering_does_not_starve_the_reranker(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    body = {"query": {"match": {"text": "wolf"}}}
    full = await searcher.search_body(body)
    lean = await searcher.search_body({**body, "_source": False})
    scores = [
        [(hit["_id"], hit["_rerank_score"]) for hit in answer.response["hits"]["hits"]] for answer in (full, lean)
    ]
    assert scores[0] == scores[1]
    assert all("_source" not in hit for hit in lean.response["hits"]["hits"])


async def test_what_cannot_be_augmented_is_executed_as_it_came(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=world.index)
    body = {"query": {"match": {"text": "wolf"}}, "sort": [{"number": "desc"}], "size": 3}
    augmented = await searcher.augment(body)
    assert augmented.body == {**body, "_source": {"excludes": ["splade", "splade_hash"]}}
    assert "_source" not in body
    assert augmented.unchanged == Unchanged.SORTED_BY_FIELD
    answer = await searcher.search_body(body)
    assert answer.unchanged == Unchanged.SORTED_BY_FIELD
    numbers = [hit["_source"]["number"] for hit in answer.response["hits"]["hits"]]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_lexical_profile_reranks_the_body_it_was_given(world, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "lexical+rerank", index=world.index)
    answer = await searcher.search_body({"query": {"match": {"text": "wolf"}}, "size": 5})
    assert answer.unchanged == Unchanged.LEXICAL_PROFILE
    assert all("_rerank_score" in hit for hit in answer.response["hits"]["hits"])
