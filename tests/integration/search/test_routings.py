"""One index in which the same ids lie behind several routings: each is a document of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.engine import BulkAction, Engine
from sidecar.search import BUILT_IN, AsyncSearcher
from sidecar.search.explainer import EXPLAINED_ROUTINGS
from sidecar.search.profile import Profile
from tests.integration.search.conftest import World
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

QUERY = "wolf river cat market"
TEXTS: dict[tuple[str, str | None], str] = {
    ("1", "ann"): "a wolf near the river",
    ("1", "bob"): "a cat in the market",
    ("1", None): "a wolf in the market of the cat",
    ("2", "ann"): "a cat on the bridge",
    ("2", "cid"): "a wolf in the snow",
    ("3", None): "a horse in the market",
}
"""By id and routing."""

UNFOUND: dict[tuple[str, str | None], str] = {
    ("1", "eve"): "winter",
    ("2", "eve"): "winter",
    ("2", None): "winter",
    ("3", "eve"): "winter",
}
"""Of the same ids, and not what is searched for."""


async def fill(url: str, target: str, index: str, texts: dict[tuple[str, str | None], str]) -> None:
    async with await Engine.connect(url) as engine, AsyncSidecarClient(target, timeout=60.0) as client:
        encoder = pick_encoder(await client.models(), None)
        # So many that no two documents of one id share one, which would be one document.
        settings = {"number_of_shards": 16, "number_of_replicas": 0}
        await set_up(engine, IndexSpec(index, encoder, source_fields=("text",), settings=settings))
        actions = [
            BulkAction(index, name, {"text": text, "owner": routing or ""}, routing=routing)
            for (name, routing), text in texts.items()
        ]
        await engine.bulk(actions, refresh=True)
        assert await engine.count(index) == len(texts)
        with DeadLetters(None) as letters:
            await ReconcileRun(engine, client, index, letters).run()
        await engine.refresh(index)


async def dropped(url: str, index: str) -> None:
    async with await Engine.connect(url) as engine:
        await engine.delete_index(index, missing_ok=True)


@pytest.fixture(scope="module", params=["opensearch", "elasticsearch"])
def routed(request, search_sidecar) -> Iterator[World]:
    node: Node = request.getfixturevalue(request.param)
    index = f"routed-{uuid.uuid4().hex[:8]}"
    asyncio.run(fill(node.url, search_sidecar.target, index, TEXTS | UNFOUND))
    yield World(node.url, search_sidecar.target, index)
    asyncio.run(dropped(node.url, index))


@pytest.fixture
async def engine(routed):
    async with await Engine.connect(routed.url) as connected:
        yield connected


@pytest.mark.parametrize("profile", sorted(BUILT_IN))
async def test_every_document_is_shown_once_with_its_own_text(routed, engine, client, profile) -> None:
    result = await AsyncSearcher(engine, client, profile, index=routed.index).search(QUERY)
    assert len(result.hits) == len(TEXTS)
    assert {(hit.id, hit.routing): hit.source["text"] for hit in result.hits} == TEXTS


@pytest.mark.parametrize("profile", ["lexical+rerank", "sparse+rerank", "hybrid+rerank"])
async def test_every_document_is_reranked_by_its_own_text(routed, engine, client, profile) -> None:
    answer = await client.rerank(QUERY, list(TEXTS.values()))
    scores = dict(zip(TEXTS, [one.score for one in sorted(answer.results, key=lambda one: one.index)], strict=True))
    searcher = AsyncSearcher(engine, client, profile, index=routed.index)
    found = {(hit.id, hit.routing): hit.rerank_score for hit in (await searcher.search(QUERY)).hits}
    assert found == pytest.approx(scores, abs=1e-5)
    body = await searcher.search_body({"query": {"match": {"text": QUERY}}})
    hits = body.response["hits"]["hits"]
    assert {(hit["_id"], hit.get("_routing")): hit["_rerank_score"] for hit in hits} == pytest.approx(scores, abs=1e-5)


async def test_every_document_is_explained_by_its_own_terms(routed, engine, client) -> None:
    result = await AsyncSearcher(engine, client, "hybrid", index=routed.index).search(QUERY, explain=True)
    for hit in result.hits:
        words = set(str(hit.source["text"]).split())
        assert {share.term for share in hit.why} <= words
        assert {share.term for share in hit.why} & words & set(QUERY.split())


@pytest.mark.parametrize("profile", ["hybrid", "hybrid+rerank"])
async def test_pages_hold_every_document_once(routed, engine, client, profile) -> None:
    searcher = AsyncSearcher(engine, client, profile, index=routed.index)
    pages = [(await searcher.search(QUERY, size=1, from_=start)).hits for start in range(len(TEXTS) + 1)]
    seen = {(hit.id, hit.routing): hit.source["text"] for page in pages for hit in page}
    assert [len(page) for page in pages] == [1] * len(TEXTS) + [0]
    assert seen == TEXTS


async def test_there_may_be_more_routings_than_a_query_has_clauses(opensearch, search_sidecar, world) -> None:
    """Two documents of each of 400 people, a routing each: a cluster takes 1,024 clauses in one query."""
    index = f"people-{uuid.uuid4().hex[:8]}"
    texts: dict[tuple[str, str | None], str] = {
        (f"{part} of {person}", f"person {person}"): f"wolf {person}"
        for person in range(400)
        for part in ("one", "two")
    }
    profile = Profile.parse({**BUILT_IN["hybrid"].model_dump(), "name": "deep", "candidates": 1_000, "timeout": 60.0})
    await fill(opensearch.url, search_sidecar.target, index, texts)
    try:
        async with (
            await Engine.connect(opensearch.url) as engine,
            AsyncSidecarClient(search_sidecar.target) as client,
        ):
            searcher = AsyncSearcher(engine, client, profile, index=index)
            result = await searcher.search("wolf", size=1_000)
            assert {(hit.id, hit.routing): hit.source["text"] for hit in result.hits} == texts
            explained = await searcher.search("wolf", size=50, explain=True)
            assert len({hit.routing for hit in explained.hits}) > EXPLAINED_ROUTINGS
            assert all({share.retriever for share in hit.why} == {"lexical", "sparse"} for hit in explained.hits)
    finally:
        await dropped(opensearch.url, index)
