"""Two phases on a real node: with a generous window exactly what one phase gives, and cheaper without."""

from __future__ import annotations

import pytest

from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.search import AsyncSearcher, Profile
from sidecar.search.fusion import LinearFusion
from sidecar.search.lexical import Lexical
from sidecar.search.normalization import Normalization
from sidecar.search.profile import Sparse
from sidecar.search.two_phase import TwoPhase

pytestmark = pytest.mark.integration

QUERIES = (
    "a wolf near the river in the snow",
    "the cold bridge",
    "where is the zebra in the rain and the wind",
    "horse market sun",
)
RATIO = 0.7
"""Above some weights of every query: the tiny model's IDF are close to one another."""


def profile(two_phase: TwoPhase | None, *, both: bool = False) -> Profile:
    sparse = Sparse(weight=0.5, two_phase=two_phase)
    if both:
        fusion = LinearFusion(normalization=Normalization.NONE)
        return Profile(name="summed", retrievers=(Lexical(weight=0.5), sparse), fusion=fusion)
    return Profile(name="phases", retrievers=(sparse,))


class Watched(Engine):
    """The engine, and what it was asked."""

    bodies: list[JsonObject]

    async def search(self, index, body, timeout=None):
        self.bodies.append(body)
        return await super().search(index, body, timeout)


@pytest.fixture
async def watched(world):
    async with await Watched.connect(world.url) as connected:
        connected.bodies = []
        yield connected


@pytest.mark.parametrize("both", [False, True], ids=["sparse", "summed"])
@pytest.mark.parametrize("query", QUERIES)
async def test_a_generous_window_gives_the_exact_ranking(world, watched, client, query, both) -> None:
    exact = await AsyncSearcher(watched, client, profile(None, both=both), index=world.index).search(query)
    assert "rescore" not in watched.bodies[-1]
    generous = TwoPhase(ratio=RATIO, window=1_000)
    phased = await AsyncSearcher(watched, client, profile(generous, both=both), index=world.index).search(query)
    assert watched.bodies[-1]["rescore"]["window_size"] == 1_000
    assert [hit.first_stage_score for hit in phased.hits] == pytest.approx(
        [hit.first_stage_score for hit in exact.hits], rel=1e-5
    )
    last = exact.hits[-1].first_stage_score
    # Documents that share the last score may stand for one another.
    sure = {hit.id for hit in exact.hits if hit.first_stage_score > last * (1 + 1e-5)}
    assert sure <= {hit.id for hit in phased.hits}


@pytest.mark.parametrize(("candidates", "window", "expected"), [(20, 5, 20), (20, 30, 30)])
async def test_the_window_does_not_depend_on_the_page(world, watched, client, candidates, window, expected) -> None:
    chosen = profile(TwoPhase(ratio=RATIO, window=window)).model_copy(update={"candidates": candidates})
    searcher = AsyncSearcher(watched, client, chosen, index=world.index)
    for start in (0, 30):
        await searcher.search(QUERIES[0], size=10, from_=start)
        assert watched.bodies[-1]["rescore"]["window_size"] == expected
        assert watched.bodies[-1]["from"] == start


async def test_a_query_without_light_terms_has_one_phase(world, watched, client) -> None:
    searcher = AsyncSearcher(watched, client, profile(TwoPhase()), index=world.index)
    await searcher.search("wolf")
    assert "rescore" not in watched.bodies[-1]


async def test_why_shows_the_terms_of_both_phases(world, watched, client) -> None:
    exact = AsyncSearcher(watched, client, profile(None), index=world.index)
    phased = AsyncSearcher(watched, client, profile(TwoPhase(ratio=RATIO, window=1_000)), index=world.index)
    one = await exact.search(QUERIES[0], size=1, explain=True)
    other = await phased.search(QUERIES[0], size=1, explain=True)
    assert {share.term for share in one.hits[0].why} == {share.term for share in other.hits[0].why}


async def test_hits_are_counted_only_where_the_profile_says_so(world, watched, client) -> None:
    plain = await AsyncSearcher(watched, client, profile(None), index=world.index).search(QUERIES[0])
    assert watched.bodies[-1]["track_total_hits"] is False
    assert plain.total is None
    counting = profile(None).model_copy(update={"count_hits": True})
    counted = await AsyncSearcher(watched, client, counting, index=world.index).search(QUERIES[0])
    assert counted.total == 240
    assert [hit.id for hit in counted.hits] == [hit.id for hit in plain.hits]
