"""Where there is nothing to feed back, or no time: searches are answered all the same, and say so."""

from __future__ import annotations

import asyncio
import io

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, Source
from sidecar.domain import JsonObject, Query
from sidecar.engine import Engine
from sidecar.errors import EvaluationError, Overloaded
from sidecar.evaluation.target import searched
from sidecar.search import NO_STORED_VECTORS, AsyncSearcher
from tests.integration.search.conftest import documents, fill
from tests.support.feedback import QUERY, RULE_OF_FEEDBACK, with_feedback

pytestmark = pytest.mark.integration


@pytest.fixture
async def bare(world, engine, client, index_name) -> str:
    """The same documents in an index that leaves vectors out of `_source`."""
    mappings = next(iter((await engine.mappings(world.index)).values()))
    await engine.create_index(index_name, {"mappings": {**mappings, "_source": {"excludes": ["splade"]}}})
    lines = b"".join(orjson.dumps(document) + b"\n" for document in documents())
    with DeadLetters(None) as letters:
        await IndexRun(engine, client, index_name, Source(io.BytesIO(lines), "_id", len(lines)), letters).run()
    return index_name


@pytest.mark.parametrize("name", ["sparse", "hybrid", "hybrid+rerank"])
async def test_an_index_without_stored_vectors_is_searched_and_said(engine, client, bare, name) -> None:
    result = await AsyncSearcher(engine, client, with_feedback(name), index=bare).search(QUERY)
    plain = await AsyncSearcher(engine, client, name, index=bare).search(QUERY)
    assert (result.degraded, result.degraded_stage) == (NO_STORED_VECTORS, "feedback")
    assert result.hits == plain.hits
    assert all((hit.rerank_score is not None) == name.endswith("+rerank") for hit in result.hits)
    searcher = AsyncSearcher(engine, client, with_feedback(name), index=bare)
    body: JsonObject = {"query": {"match": {"text": QUERY}}}
    augmented = await searcher.augment(body)
    assert (augmented.unchanged, augmented.degraded, augmented.degraded_stage) == (None, NO_STORED_VECTORS, "feedback")
    answer = await searcher.search_body(body)
    assert (answer.unchanged, answer.degraded, answer.degraded_stage) == (None, NO_STORED_VECTORS, "feedback")
    assert all(("_rerank_score" in hit) == name.endswith("+rerank") for hit in answer.response["hits"]["hits"])


class Faltering(AsyncSidecarClient):
    """A sidecar that encodes the query, and is then overloaded, or asleep."""

    asleep: bool = False
    asked: int = 0

    async def encode(self, texts, **options):
        self.asked += 1
        if self.asked % 2:
            return await super().encode(texts, **options)
        if self.asleep:
            await asyncio.sleep(30.0)
        raise Overloaded("full", retry_after=1.0)


@pytest.mark.parametrize("asleep", [False, True])
async def test_a_sidecar_that_is_gone_meanwhile_costs_only_the_feedback(world, engine, client, asleep) -> None:
    profile = with_feedback("sparse", RULE_OF_FEEDBACK.model_copy(update={"timeout": 0.5}))
    async with Faltering(world.target) as faltering:
        faltering.asleep = asleep
        result = await AsyncSearcher(engine, faltering, profile, index=world.index).search(QUERY)
    reason = "DEADLINE_EXCEEDED" if asleep else "OVERLOADED"
    assert (result.degraded, result.degraded_stage) == (reason, "feedback")
    assert result.hits == (await AsyncSearcher(engine, client, "sparse", index=world.index).search(QUERY)).hits


async def test_a_first_pass_that_is_late_leaves_time_for_the_second(world, watched, client) -> None:
    watched.wait = 30.0
    profile = with_feedback("sparse").model_copy(update={"timeout": 4.0})
    result = await AsyncSearcher(watched, client, profile, index=world.index).search(QUERY)
    assert (result.degraded, result.degraded_stage) == ("DEADLINE_EXCEEDED", "feedback")
    assert len(result.hits) == 10


async def test_an_alias_that_moves_between_the_passes(world, client, index_name) -> None:
    """The vector and its feedback are one model's, and the name is another one's index by then: all begins anew."""
    other, alias = f"{index_name}-other", f"{index_name}-alias"

    class Moving(Engine):
        moved = False

        async def read(self, method, path, parameters=None, body=None, *, timeout=None):
            answer = await super().read(method, path, parameters, body, timeout=timeout)
            if path.endswith("/_search") and not self.moved:
                self.moved = True
                steps = [
                    {"remove": {"index": world.index, "alias": alias}},
                    {"add": {"index": other, "alias": alias}},
                ]
                await self.send("POST", "/_aliases", {"actions": steps})
            return answer

    await fill(world.url, world.target, other, "tiny-sparse")
    async with await Moving.connect(world.url) as engine:
        try:
            added = {"actions": [{"add": {"index": world.index, "alias": alias}}]}
            await engine.send("POST", "/_aliases", added)
            result = await AsyncSearcher(engine, client, with_feedback("sparse"), index=alias).search(QUERY)
            assert engine.moved
            assert result.degraded is None
            direct = await AsyncSearcher(engine, client, with_feedback("sparse"), index=other).search(QUERY)
            assert result.hits == direct.hits
            assert result.hits
        finally:
            await engine.delete_index(other)


async def test_a_search_without_its_feedback_is_not_measured(engine, client, bare) -> None:
    searcher = AsyncSearcher(engine, client, with_feedback("sparse"), index=bare)
    with pytest.raises(EvaluationError, match="feedback"):
        await searched(searcher, Query("q", QUERY), 10)
