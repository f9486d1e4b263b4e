"""Words in several fields, each way of searching them: what is found, how it scores and why."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.search import AsyncSearcher, Profile, SearchResult
from tests.integration.search.fields.conftest import QUERY, WAYS, hybrid, lexical, searched

pytestmark = pytest.mark.integration


def scores(result: SearchResult) -> dict[str, float | None]:
    return {hit.id: hit.lexical_score for hit in result.hits if hit.lexical_score is not None}


@pytest.mark.parametrize("way", WAYS)
async def test_hits_are_those_of_the_clusters_own_query(shop, engine, client, way) -> None:
    settings = {"query": QUERY, **WAYS[way]}
    query = {"multi_match": settings} if "fields" in settings else {"match": {"title": settings}}
    raw = (await engine.search(shop.index, {"query": query, "size": 300})).hits
    found = (await searched(shop, engine, client, lexical(way), QUERY, size=300)).hits
    assert raw
    assert {hit.id: hit.first_stage_score for hit in found} == pytest.approx({hit.id: hit.score for hit in raw})


async def test_what_the_keys_are_for(shop, engine, client) -> None:
    async def found(text: str, **settings: object) -> list[str]:
        profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", **settings}]})
        return [hit.id for hit in (await searched(shop, engine, client, profile, text, size=300)).hits]

    assert await found("river") == [], "the index's own lexical field is the title"
    assert len(await found("river", fields=["title", "body"])) == 40
    titles_first = await found("wolf bridge", fields=["title^50", "body"])
    assert all(name.startswith("wolf-") for name in titles_first[:24])
    assert "wolf-bridge-" in (await found("wolf bridge", fields=["title", "body^50"]))[0]
    assert await found("zebra bridge", fields=["title", "body"], operator="and") == await found(
        "zebra bridge", fields=["body"], operator="and"
    )
    by_all = await found("zebra bridge company", fields=["title", "body", "maker.name"], operator="and")
    assert by_all == [], "no single field has all three"
    across = await found(
        "zebra bridge company", fields=["title.plain", "maker.name"], type="cross_fields", minimum_should_match=2
    )
    assert across
    assert all(name.startswith("zebra-") for name in across)
    assert await found("wulf", fields=["title", "body"]) == []
    assert len(await found("wulf", fields=["title", "body"], fuzziness="AUTO")) == 24
    assert len(await found("wolf near the river", fields=["title", "body"], type="phrase")) == 4
    assert await found("river near the wolf", fields=["title", "body"], type="phrase") == []
    assert len(await found("wolf river snow", fields=["body"], minimum_should_match="100%")) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fusion", [{}, {"method": "rrf"}, {"normalization": "none"}], ids=["scaled", "rrf", "summed"])
async def test_every_fusion_takes_them(shop, engine, client, way, fusion) -> None:
    fused = await searched(shop, engine, client, hybrid(way, fusion=fusion), QUERY, size=240)
    words = scores(await searched(shop, engine, client, lexical(way), QUERY, size=240))
    assert fused.degraded is None
    if fusion.get("normalization") == "none":
        sparse = Profile.parse({"name": "x", "retrievers": [{"kind": "sparse"}], "encode_timeout": 20.0})
        vectors = await searched(shop, engine, client, sparse, QUERY, size=240)
        terms = {hit.id: hit.sparse_score for hit in vectors.hits}
        for hit in fused.hits:
            expected = 0.4 * (words.get(hit.id) or 0.0) + 0.6 * (terms.get(hit.id) or 0.0)
            assert hit.first_stage_score == pytest.approx(expected, rel=1e-4)
    else:
        assert scores(fused) == pytest.approx(words, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
async def test_why_adds_up_and_says_in_which_field(shop, engine, client, way) -> None:
    text = "wolf" if way == "tags" else QUERY
    result = await searched(shop, engine, client, hybrid(way), text, size=10, explain=True)
    named = {str(field).partition("^")[0] for field in WAYS[way].get("fields", ["title"])}
    seen: set[str | None] = set()
    for hit in result.hits:
        words = [share for share in hit.why if share.retriever == "lexical"]
        assert sum(share.value for share in words) == pytest.approx(hit.lexical_score or 0.0, rel=1e-4)
        assert {share.field for share in words} <= named
        assert {share.field for share in hit.why if share.retriever == "sparse"} == {None}
        seen |= {share.field for share in words}
    if way in {"tied", "most", "cross"}:
        assert len(seen) > 1
    if way == "tags":
        assert "tags" in seen
        assert {share.term for share in result.hits[0].why if share.field == "tags"} == {"wolf"}


@pytest.mark.parametrize("way", ["tied", "cross", "fuzzy"])
@pytest.mark.parametrize("fusion", [{}, {"normalization": "none"}], ids=["scaled", "summed"])
async def test_pages_filters_counts_and_reranking_work_as_without(shop, engine, client, way, fusion) -> None:
    even = {"range": {"number": {"lt": 120}}}
    profile = hybrid(way, fusion=fusion, count_hits=True, candidates=30, rerank={"depth": 12, "timeout": 30})
    searcher = AsyncSearcher(engine, client, profile, index=shop.index)
    whole = await searcher.search(QUERY, size=60, filter=even)
    assert whole.degraded is None
    assert whole.total is not None
    assert len(whole.hits) == min(60, whole.total)
    assert all(int(str(hit.source["number"])) < 120 for hit in whole.hits)
    assert all((hit.rerank_score is not None) == (hit.rank <= 12) for hit in whole.hits)
    paged = [hit.id for start in range(0, 60, 7) for hit in (await searcher.search(QUERY, 7, start, even)).hits]
    assert paged[:60] == [hit.id for hit in whole.hits]


async def test_feedback_and_an_applications_own_body_stay_what_they_are(shop, engine, client) -> None:
    fed = hybrid("tied").model_dump()
    fed["retrievers"][1]["feedback"] = {"documents": 3, "weight": 0.3, "timeout": 20.0}
    result = await searched(shop, engine, client, Profile.parse(fed), QUERY)
    assert (result.degraded, len(result.hits)) == (None, 10)
    assert result.timings.feedback_ms > 0.0
    body = {"query": {"match": {"body": QUERY}}}
    one = await AsyncSearcher(engine, client, hybrid("tied"), index=shop.index).augment(body)
    assert one == await AsyncSearcher(engine, client, hybrid("one"), index=shop.index).augment(body)
    assert one.unchanged is None


async def test_without_a_sidecar_the_same_fields_are_searched(shop, engine) -> None:
    plain = await AsyncSearcher(engine, None, lexical("tied"), index=shop.index).search(QUERY)
    async with AsyncSidecarClient("127.0.0.1:1") as nobody:
        degraded = await searched(shop, engine, nobody, hybrid("tied"), QUERY, explain=True)
    assert (degraded.degraded, degraded.degraded_stage) == ("SIDECAR_UNAVAILABLE", "encode")
    assert [(hit.id, hit.lexical_score) for hit in degraded.hits] == [(hit.id, hit.lexical_score) for hit in plain.hits]
    assert degraded.hits[0].why


LONG = {
    "many": " ".join(f"w{number}" for number in range(5_000)) + " wolf",
    "again": "wolf " * 5_000,
    "known": " ".join(f"{word} w{number}" for number in range(400) for word in ("wolf", "river", "snow")),
    "unspaced": "x" + "\u6c34" * 9_000,
    "emoji": "\U0001f43a" * 8_000,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", LONG)
async def test_a_query_as_long_as_a_document_keeps_within_the_clusters_clauses(shop, engine, client, way, text) -> None:
    for profile in (lexical(way), hybrid(way, count_hits=True), hybrid(way, fusion={"normalization": "none"})):
        result = await searched(shop, engine, client, profile, LONG[text], size=3, explain=True)
        assert not result.partial
        assert bool(result.hits) or text != "again" or way == "phrase"


@pytest.mark.parametrize("text", ["!", "... ?! --", "\U0001f43a", "\x00"])
@pytest.mark.parametrize("way", WAYS)
async def test_odd_queries_are_no_errors(shop, engine, client, way, text) -> None:
    assert (await searched(shop, engine, client, hybrid(way), text)).partial is False
