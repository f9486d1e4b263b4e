"""Laws of fusion."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.search.fusion import LinearFusion, ReciprocalRankFusion, Scored
from sidecar.search.normalization import Normalization, normalize

STRATEGIES = [
    LinearFusion(normalization=Normalization.MIN_MAX),
    LinearFusion(normalization=Normalization.MAX),
    LinearFusion(normalization=Normalization.NONE),
    ReciprocalRankFusion(),
    ReciprocalRankFusion(rank_constant=1),
]

scores = st.floats(min_value=0.0, max_value=1e6, allow_nan=False)


@st.composite
def ranking(draw) -> list[Scored]:
    names = draw(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=8))
    values = sorted((draw(scores) for _ in names), reverse=True)
    return [Scored(name, value) for name, value in zip(names, values, strict=True)]


weights = st.floats(min_value=0.01, max_value=10.0)
weighted = st.lists(st.tuples(ranking(), weights), min_size=1, max_size=4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(lists=weighted)
def test_every_document_once_in_descending_order(strategy, lists) -> None:
    fused = strategy.fuse([found for found, _ in lists], [weight for _, weight in lists])
    assert sorted(document.id for document in fused) == sorted({one.id for found, _ in lists for one in found})
    assert all(a.score >= b.score for a, b in itertools.pairwise(fused))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(lists=weighted, data=st.data())
def test_the_order_of_the_rankings_does_not_matter(strategy, lists, data) -> None:
    shuffled = data.draw(st.permutations(lists))
    one = strategy.fuse([found for found, _ in lists], [weight for _, weight in lists])
    other = strategy.fuse([found for found, _ in shuffled], [weight for _, weight in shuffled])
    assert one == other


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(lists=weighted)
def test_who_is_nowhere_worse_is_not_ranked_below(strategy, lists) -> None:
    """Monotone: a document that stands above another in every ranking that has the other gets no smaller score."""
    rankings = [found for found, _ in lists]
    fused = {one.id: one.score for one in strategy.fuse(rankings, [weight for _, weight in lists])}
    places = [{one.id: rank for rank, one in enumerate(found)} for found in rankings]
    for better in fused:
        for worse in fused:
            if all(better in place and place[better] <= place[worse] for place in places if worse in place):
                assert fused[better] >= fused[worse] or math.isclose(fused[better], fused[worse])


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(found=ranking(), weight=weights)
def test_one_ranking_alone_keeps_its_order(strategy, found, weight) -> None:
    order = [one.id for one in strategy.fuse([found], [weight])]
    assert order == [one.id for one in found] or len({one.score for one in found}) < len(found)


def test_reciprocal_rank_values() -> None:
    fused = ReciprocalRankFusion(rank_constant=60).fuse(
        [[Scored("a", 9.0), Scored("b", 8.0)], [Scored("b", 0.3), Scored("c", 0.2)]], [1.0, 2.0]
    )
    assert [one.id for one in fused] == ["b", "c", "a"]
    assert fused[0].score == pytest.approx(1 / 62 + 2 / 61, abs=1e-15)
    assert fused[1].score == pytest.approx(2 / 62, abs=1e-15)
    assert fused[2].score == pytest.approx(1 / 61, abs=1e-15)


def test_linear_values() -> None:
    lexical = [Scored("a", 30.0), Scored("b", 20.0), Scored("c", 10.0)]
    sparse = [Scored("c", 4.0), Scored("d", 3.0), Scored("a", 2.0)]
    fused = dict(LinearFusion().fuse([lexical, sparse], [0.25, 0.75]))
    assert fused == pytest.approx({"a": 0.25, "b": 0.125, "c": 0.75, "d": 0.375})
    fused = dict(LinearFusion(normalization=Normalization.MAX).fuse([lexical, sparse], [0.25, 0.75]))
    assert fused == pytest.approx({"a": 0.25 + 0.375, "b": 0.25 * 2 / 3, "c": 0.25 / 3 + 0.75, "d": 0.75 * 0.75})
    fused = dict(LinearFusion(normalization=Normalization.NONE).fuse([lexical, sparse], [1.0, 2.0]))
    assert fused == pytest.approx({"a": 34.0, "b": 20.0, "c": 18.0, "d": 6.0})


def test_ties_go_to_the_better_rank_then_to_the_smaller_id() -> None:
    fused = ReciprocalRankFusion().fuse([[Scored("z", 1.0)], [Scored("a", 1.0)]], [1.0, 1.0])
    assert [one.id for one in fused] == ["a", "z"]
    fused = LinearFusion().fuse([[Scored("z", 1.0), Scored("a", 1.0)]], [1.0])
    assert [one.id for one in fused] == ["z", "a"]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_key_of_id_and_index_tells_documents_of_one_id_apart(strategy) -> None:
    rankings = [[Scored(("1", "a"), 3.0), Scored(("1", "b"), 2.0)], [Scored(("1", "b"), 5.0)]]
    fused = strategy.fuse(rankings, [1.0, 1.0])
    assert sorted(one.id for one in fused) == [("1", "a"), ("1", "b")]
    named = strategy.fuse([[Scored("".join(one.id), one.score) for one in found] for found in rankings], [1.0, 1.0])
    assert [("".join(one.id), one.score) for one in fused] == named


@given(values=st.lists(st.floats(min_value=-1e300, max_value=1e300)), how=st.sampled_from(Normalization))
def test_normalising_keeps_order_and_ties(values, how) -> None:
    scaled = normalize(values, how)
    assert len(scaled) == len(values)
    for a, x in zip(values, scaled, strict=True):
        assert math.isfinite(x)
        for b, y in zip(values, scaled, strict=True):
            if a == b:
                assert x == y
            elif a > b:
                assert x >= y


def test_a_ranking_of_equals_is_all_ones() -> None:
    assert normalize([3.0, 3.0], Normalization.MIN_MAX) == [1.0, 1.0]
    assert normalize([0.0], Normalization.MAX) == [1.0]
    assert normalize([], Normalization.MIN_MAX) == []
    assert normalize([-1e308, 1e308], Normalization.MIN_MAX) == [0.0, 1.0]
