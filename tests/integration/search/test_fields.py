"""Words in several fields, on OpenSearch and on Elasticsearch, in an index that was there before the sidecar.

It has no field that all its text is copied to: setup is given the title for one.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.main import app
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.doctor import Severity, examine, gather
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine
from sidecar.errors import ProfileInvalid
from sidecar.search import AsyncSearcher, Profile, SearchResult
from tests.integration.search.conftest import World, documents
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river"
TEXT, ENGLISH = {"type": "text"}, {"type": "text", "analyzer": "english"}
PROPERTIES: JsonObject = {
    "title": {**ENGLISH, "fields": {"plain": TEXT}},
    "body": ENGLISH,
    "maker": {"properties": {"name": TEXT}},
    "tags": {"type": "keyword"},
    "number": {"type": "integer"},
}
SINGLE = {"number_of_shards": 1, "number_of_replicas": 0}

WAYS = {
    "best": {"fields": ["title^3", "body"]},
    "tied": {"fields": ["title^3", "body", "maker.name"], "tie_breaker": 0.3},
    "most": {"fields": ["title^3", "title.plain", "body"], "type": "most_fields"},
    "cross": {"fields": ["title", "body^2", "tags"], "type": "cross_fields", "tie_breaker": 0.1},
    "all": {"fields": ["title", "body"], "type": "cross_fields", "operator": "and"},
    "some": {"fields": ["title", "body"], "minimum_should_match": "2<75%"},
    "fuzzy": {"fields": ["title^3", "body"], "fuzziness": "AUTO"},
    "phrase": {"fields": ["title", "body"], "type": "phrase"},
    "tags": {"fields": ["title", "tags^4"]},
    "one": {"minimum_should_match": "50%", "fuzziness": 1},
}


def stored() -> dict[str, JsonObject]:
    """The corpus with its text in `body`, its animal as a tag, and a maker."""
    return {
        str(one["_id"]): {
            "title": one["title"],
            "body": one["text"],
            "number": one["number"],
            "tags": str(one["title"]).split()[1:],
            "maker": {"name": "the wolf river company" if int(str(one["number"])) % 7 == 0 else "somebody"},
        }
        for one in documents()
    }


async def fill(url: str, target: str, index: str) -> None:
    async with await Engine.connect(url) as engine, AsyncSidecarClient(target, timeout=60.0) as client:
        await engine.create_index(index, {"settings": SINGLE, "mappings": {"properties": PROPERTIES}})
        actions = [BulkAction(index, name, source) for name, source in stored().items()]
        await engine.bulk(actions, refresh=True)
        encoder = pick_encoder(await client.models(), None)
        await set_up(engine, IndexSpec(index, encoder, source_fields=("title", "body"), lexical_field="title"))
        with DeadLetters(None) as letters:
            await ReconcileRun(engine, client, index, letters).run()
        await engine.refresh(index)


async def dropped(url: str, *names: str) -> None:
    async with await Engine.connect(url) as engine:
        for name in names:
            await engine.delete_index(name, missing_ok=True)


@pytest.fixture(scope="module", params=["opensearch", "elasticsearch"])
def shop(request, search_sidecar) -> Iterator[World]:
    node: Node = request.getfixturevalue(request.param)
    index = f"shop-{uuid.uuid4().hex[:8]}"
    asyncio.run(fill(node.url, search_sidecar.target, index))
    yield World(node.url, search_sidecar.target, index)
    asyncio.run(dropped(node.url, index))


@pytest.fixture
async def engine(shop):
    async with await Engine.connect(shop.url) as connected:
        yield connected


@pytest.fixture
async def client(shop):
    async with AsyncSidecarClient(shop.target, timeout=60.0) as connected:
        yield connected


def lexical(way: str) -> Profile:
    return Profile.parse({"name": way, "retrievers": [{"kind": "lexical", **WAYS[way]}]})


def hybrid(way: str, **more: object) -> Profile:
    retrievers = [{"kind": "lexical", "weight": 0.4, **WAYS[way]}, {"kind": "sparse", "weight": 0.6}]
    return Profile.parse({"name": way, "retrievers": retrievers, "timeout": 60.0, "encode_timeout": 20.0, **more})


async def searched(shop: World, engine: Engine, client: AsyncSidecarClient, profile: Profile, *args, **more):
    return await AsyncSearcher(engine, client, profile, index=shop.index).search(*args, **more)


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


async def test_words_of_fields_without_statistics_are_reasons_too(opensearch: Node, search_sidecar) -> None:
    """Elasticsearch has had such a type for text since 7.14."""
    index = f"terse-{uuid.uuid4().hex[:8]}"
    properties: JsonObject = {**PROPERTIES, "body": {"type": "match_only_text"}}
    async with await Engine.connect(opensearch.url) as engine, AsyncSidecarClient(search_sidecar.target) as client:
        await engine.create_index(index, {"settings": SINGLE, "mappings": {"properties": properties}})
        try:
            encoder = pick_encoder(await client.models(), None)
            await set_up(engine, IndexSpec(index, encoder, source_fields=("title", "body"), lexical_field="body"))
            await engine.bulk([BulkAction(index, name, source) for name, source in stored().items()], refresh=True)
            world = World(opensearch.url, search_sidecar.target, index)
            for settings, text, terms in (
                ({"fields": ["title^3", "body^2", "tags"], "type": "most_fields"}, "wolf", {"wolf"}),
                ({"fields": ["title", "body^2"], "type": "phrase"}, "near the river", {'"near the river"'}),
                ({}, "wolf", {"wolf"}),
            ):
                profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", **settings}]})
                result = await searched(world, engine, client, profile, text, size=3, explain=True)
                assert len(result.hits) == 3
                for hit in result.hits:
                    assert {share.term for share in hit.why} == terms
                    assert "body" in {share.field for share in hit.why}
                    assert sum(share.value for share in hit.why) == pytest.approx(hit.lexical_score, rel=1e-4)
        finally:
            await engine.delete_index(index)


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


async def test_a_field_that_the_index_lacks_is_refused(shop, engine, client) -> None:
    for fields, said in (
        (
            ["title", "brand"],
            r"searches for words in brand: .* Name those that it has: body, maker\.name, title, title\.plain",
        ),
        (["number^2"], r"words in number \(integer\): "),
    ):
        profile = Profile.parse({"name": "mine", "retrievers": [{"kind": "lexical", "fields": fields}]})
        with pytest.raises(ProfileInvalid, match=said):
            await searched(shop, engine, client, profile, QUERY)


async def test_behind_an_alias_one_index_with_the_field_is_enough(shop, engine, client) -> None:
    """It is found where it is; where it is no text in one of the indices, nobody's search would be whole."""
    older, alias = f"{shop.index}-older", f"{shop.index}-all"
    mapping = (await engine.mappings(shop.index))[shop.index]
    properties = {name: field for name, field in mapping["properties"].items() if name != "maker"}
    await engine.create_index(older, {"settings": SINGLE, "mappings": {**mapping, "properties": properties}})
    try:
        await engine.bulk([BulkAction(older, "old", {"title": "an old wolf"})], refresh=True)
        actions = [{"add": {"index": name, "alias": alias}} for name in (shop.index, older)]
        await engine.send("POST", "/_aliases", {"actions": actions})
        everywhere = World(shop.url, shop.target, alias)
        found = await searched(everywhere, engine, client, lexical("tied"), "wolf", size=200)
        assert {hit.index for hit in found.hits} == {shop.index, older}
        await engine.put_mapping(older, {"properties": {"maker": {"properties": {"name": {"type": "long"}}}}})
        with pytest.raises(ProfileInvalid, match=r"in maker\.name \(long\)"):
            await searched(everywhere, engine, client, lexical("tied"), "wolf")
    finally:
        await engine.delete_index(older)


async def test_a_field_that_came_since_the_record_was_read_is_searched_at_once(shop, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, lexical("best"), index=shop.index)
    await searcher.search(QUERY)
    field = f"note_{uuid.uuid4().hex[:8]}"
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", "fields": [field, "title"]}]})
    later = AsyncSearcher(engine, client, profile, index=shop.index)
    with pytest.raises(ProfileInvalid, match=field):
        await later.search(QUERY)
    await engine.put_mapping(shop.index, {"properties": {field: TEXT}})
    assert (await later.search(QUERY)).hits


async def test_the_command_searches_and_doctor_finds_nothing(shop, engine, client, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nretrievers:\n  - {kind: lexical, weight: 0.4, fields: [title^3, body], tie_breaker: 0.3,"
        " minimum_should_match: -75%, operator: or}\n  - {kind: sparse, weight: 0.6}\n"
    )
    where = ["--index", shop.index, "--profile", str(path), "--engine", shop.url, "--sidecar", shop.target]
    runner = CliRunner(env={"COLUMNS": "200"})
    shown = await asyncio.to_thread(runner.invoke, app, ["search", QUERY, *where, "--explain"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "title:wolf" in shown.stdout
    assert "body:river" in shown.stdout
    told = await asyncio.to_thread(
        runner.invoke, app, ["search", QUERY, *where, "--explain", "--json"], catch_exceptions=False
    )
    shares = json.loads(told.stdout)["hits"][0]["why"]
    assert {share["field"] for share in shares} >= {"title", None}
    findings = examine(await gather(engine, shop.index, served=await client.models()))
    assert [one for one in findings if one.severity is Severity.ERROR] == []
