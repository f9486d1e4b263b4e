"""Two indices in which the same ids stand for different documents: both behind one alias, and one after the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.search import BUILT_IN, AsyncSearcher
from tests.integration.search.conftest import World, put

pytestmark = pytest.mark.integration

QUERY = "wolf river cat market"
TEXTS = {
    "a": {"1": "a wolf near the river", "2": "a wolf in the snow", "3": "a bear near the river"},
    "b": {"1": "a cat in the market", "2": "a cat on the bridge", "3": "a horse in the market"},
}
"""By index and id."""


@pytest.fixture(scope="module")
def twins(opensearch, search_sidecar) -> Iterator[World]:
    """The alias of two indices with the same ids."""
    alias = f"twins-{uuid.uuid4().hex[:8]}"

    async def made() -> None:
        for suffix, texts in TEXTS.items():
            rows: list[dict[str, object]] = [{"_id": name, "text": text} for name, text in texts.items()]
            await put(opensearch.url, search_sidecar.target, f"{alias}-{suffix}", rows)
        actions = [{"add": {"index": f"{alias}-{suffix}", "alias": alias}} for suffix in TEXTS]
        async with await Engine.connect(opensearch.url) as engine:
            await engine._transport.send("POST", "/_aliases", {"actions": actions})

    async def gone() -> None:
        async with await Engine.connect(opensearch.url) as engine:
            for suffix in TEXTS:
                await engine.delete_index(f"{alias}-{suffix}", missing_ok=True)

    asyncio.run(made())
    yield World(opensearch.url, search_sidecar.target, alias)
    asyncio.run(gone())


def expected(alias: str) -> dict[tuple[str, str], str]:
    return {(f"{alias}-{suffix}", name): text for suffix, texts in TEXTS.items() for name, text in texts.items()}


@pytest.mark.parametrize("profile", sorted(BUILT_IN))
async def test_every_document_is_shown_once_with_its_own_text(twins, engine, client, profile) -> None:
    result = await AsyncSearcher(engine, client, profile, index=twins.index).search(QUERY)
    assert len(result.hits) == 6
    assert {(hit.index, hit.id): hit.source["text"] for hit in result.hits} == expected(twins.index)


@pytest.mark.parametrize("profile", ["lexical+rerank", "sparse+rerank", "hybrid+rerank"])
async def test_every_document_is_reranked_by_its_own_text(twins, engine, client, profile) -> None:
    texts = expected(twins.index)
    answer = await client.rerank(QUERY, list(texts.values()))
    scores = dict(zip(texts, [one.score for one in sorted(answer.results, key=lambda one: one.index)], strict=True))
    searcher = AsyncSearcher(engine, client, profile, index=twins.index)
    found = {(hit.index, hit.id): hit.rerank_score for hit in (await searcher.search(QUERY)).hits}
    assert found == pytest.approx(scores, abs=1e-5)
    body = await searcher.search_body({"query": {"match": {"text": QUERY}}})
    hits = body.response["hits"]["hits"]
    assert {(hit["_index"], hit["_id"]): hit["_rerank_score"] for hit in hits} == pytest.approx(scores, abs=1e-5)


async def test_every_document_is_explained_by_its_own_terms(twins, engine, client) -> None:
    result = await AsyncSearcher(engine, client, "hybrid", index=twins.index).search(QUERY, explain=True)
    for hit in result.hits:
        words = set(str(hit.source["text"]).split())
        assert {share.term for share in hit.why} <= words
        assert {share.term for share in hit.why} & words & set(QUERY.split())


async def test_pages_hold_every_document_once(twins, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, "hybrid+rerank", index=twins.index)
    pages = [(await searcher.search(QUERY, size=1, from_=start)).hits for start in range(7)]
    seen = [(hit.index, hit.id) for page in pages for hit in page]
    assert sorted(seen) == sorted(expected(twins.index))


async def test_what_is_fed_back_is_each_documents_own(twins, engine, client) -> None:
    sparse = BUILT_IN["hybrid"].model_dump()
    sparse["retrievers"][1]["feedback"] = {"documents": 6, "weight": 0.5}
    profile = type(BUILT_IN["hybrid"]).parse({**sparse, "name": "fed"})
    result = await AsyncSearcher(engine, client, profile, index=twins.index).search("wolf market")
    assert result.degraded is None
    assert {(hit.index, hit.id): hit.source["text"] for hit in result.hits} == expected(twins.index)


class Moving(Engine):
    """Points an alias to the other index right before it is asked for documents that the search found in the first."""

    alias: str
    moves: int

    async def search(self, index, body, timeout=None):
        if "'_index'" in str(body) and not self.moves:
            self.moves += 1
            await point(self, self.alias, "b", "a")
        return await super().search(index, body, timeout)


async def point(engine: Engine, alias: str, to: str, away: str) -> None:
    origin = alias.removesuffix("-one")
    actions: list[JsonObject] = [
        {"add": {"index": f"{origin}-{to}", "alias": alias}},
        {"remove": {"index": f"{origin}-{away}", "alias": alias, "must_exist": False}},
    ]
    await engine._transport.send("POST", "/_aliases", {"actions": actions})


@pytest.fixture
async def moving(twins):
    async with await Moving.connect(twins.url) as engine:
        engine.alias, engine.moves = f"{twins.index}-one", 0
        await point(engine, engine.alias, "a", "b")
        yield engine


async def test_a_name_that_is_pointed_elsewhere_in_between_is_searched_again(twins, moving, client) -> None:
    result = await AsyncSearcher(moving, client, "hybrid+rerank", index=moving.alias).search(QUERY)
    assert moving.moves == 1
    assert {(hit.index, hit.id): hit.source["text"] for hit in result.hits} == {
        (f"{twins.index}-b", name): text for name, text in TEXTS["b"].items()
    }
    assert all(hit.rerank_score is not None for hit in result.hits)


@pytest.mark.parametrize("profile", ["hybrid+rerank", "lexical+rerank"])
async def test_a_body_is_executed_again_then_too(twins, moving, client, profile) -> None:
    searcher = AsyncSearcher(moving, client, profile, index=moving.alias)
    answer = await searcher.search_body({"query": {"match": {"text": QUERY}}})
    hits = answer.response["hits"]["hits"]
    assert moving.moves == 1
    assert {(hit["_index"], hit["_id"]) for hit in hits} == {(f"{twins.index}-b", name) for name in TEXTS["b"]}
    assert all("_rerank_score" in hit for hit in hits)
