"""Reranking that stops early, by a real cross-encoder on a real cluster."""

from __future__ import annotations

import pytest

from sidecar.errors import ProfileInvalid
from sidecar.search import BUILT_IN, AsyncSearcher, Profile, Rerank

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river in the snow"


def profile(stop_early: int | None) -> Profile:
    policy = Rerank(depth=60, weight=0.1, calibrated=True, stop_early=stop_early)
    return BUILT_IN["hybrid"].model_copy(update={"name": "answers", "rerank": policy})


async def test_a_page_is_the_same_and_less_is_read(world, engine, judge) -> None:
    whole = AsyncSearcher(engine, judge, profile(None), index=world.index)
    early = AsyncSearcher(engine, judge, profile(8), index=world.index)
    for size, start in ((1, 0), (3, 0), (3, 3), (10, 0)):
        expected = await whole.search(QUERY, size=size, from_=start)
        found = await early.search(QUERY, size=size, from_=start)
        assert found.degraded is None
        assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
        assert [hit.rerank_score for hit in found.hits] == pytest.approx(
            [hit.rerank_score for hit in expected.hits], abs=1e-5
        )


async def test_documents_below_the_page_are_not_read(world, engine, judge) -> None:
    asked: list[int] = []

    class Counting:
        """The sidecar, and how many documents it was given at a time."""

        def __getattr__(self, name):
            return getattr(judge, name)

        async def rerank(self, query, documents, **options):
            asked.append(len(documents))
            return await judge.rerank(query, documents, **options)

    result = await AsyncSearcher(engine, Counting(), profile(8), index=world.index).search(QUERY, size=1)
    assert result.hits[0].rerank_score is not None
    assert set(asked) == {8}
    assert sum(asked) < 60


async def test_an_applications_own_body_stops_early_too(world, engine, judge) -> None:
    body = {"query": {"match": {"text": QUERY}}, "size": 2}
    whole = await AsyncSearcher(engine, judge, profile(None), index=world.index).search_body(body)
    early = await AsyncSearcher(engine, judge, profile(8), index=world.index).search_body(body)
    assert early.degraded is None
    ids = [[hit["_id"] for hit in answer.response["hits"]["hits"]] for answer in (whole, early)]
    assert ids[0] == ids[1]


async def test_a_reranker_without_probabilities_is_refused(world, engine, client) -> None:
    with pytest.raises(ProfileInvalid, match="no probabilities"):
        await AsyncSearcher(engine, client, profile(8), index=world.index).search(QUERY, size=2)
