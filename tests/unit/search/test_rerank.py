"""Laws of reordering the head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.search.rerank import Rerank, interpolated, order_of_head

finite = st.floats(min_value=-1e9, max_value=1e9)
both = st.lists(st.tuples(finite, finite), max_size=12).map(
    lambda pairs: (sorted((first for first, _ in pairs), reverse=True), [second for _, second in pairs])
)
share = st.floats(min_value=0.0, max_value=1.0)


@given(stages=both)
def test_weight_zero_is_the_first_stage(stages) -> None:
    first, rerank = stages
    assert order_of_head(first, rerank, 0.0) == list(range(len(first)))


@given(stages=both)
def test_weight_one_is_the_reranker_ties_in_first_stage_order(stages) -> None:
    first, rerank = stages
    expected = sorted(range(len(first)), key=lambda position: (-rerank[position], position))
    assert order_of_head(first, rerank, 1.0) == expected


@given(stages=both, weight=share)
def test_a_permutation_that_respects_agreement(stages, weight) -> None:
    """Where both stages prefer one document, so does every mixture of them."""
    first, rerank = stages
    order = order_of_head(first, rerank, weight)
    assert sorted(order) == list(range(len(first)))
    place = {position: rank for rank, position in enumerate(order)}
    for a in range(len(first)):
        for b in range(a + 1, len(first)):
            if first[a] >= first[b] and rerank[a] >= rerank[b]:
                assert place[a] < place[b]


@given(stages=both, weight=share)
def test_mixtures_stay_in_the_unit_interval(stages, weight) -> None:
    first, rerank = stages
    assert all(-1e-12 <= value <= 1.0 + 1e-12 for value in interpolated(first, rerank, weight))


@given(stages=both, weight=share, tail=st.lists(st.text(max_size=3), max_size=5))
def test_the_head_stays_above_an_untouched_tail(stages, weight, tail) -> None:
    first, rerank = stages
    items = [f"head {number}" for number in range(len(first))] + tail
    ranked = Rerank(weight=weight).apply(items, first, rerank, rerank)
    assert sorted(ranked[: len(first)]) == sorted(items[: len(first)])
    assert ranked[len(first) :] == tail


def test_the_cut_off_looks_at_scores_and_drops_what_nobody_vouched_for() -> None:
    policy = Rerank(cut_off=0.5)
    assert policy.apply(["a", "b", "c", "tail"], [3, 2, 1], [-1.0, 4.0, 2.0], [0.2, 0.98, 0.5]) == ["b", "c"]


def test_columns_of_different_length_are_a_bug() -> None:
    with pytest.raises(ValueError, match="different numbers"):
        order_of_head([1.0], [1.0, 2.0], 0.5)


@pytest.mark.parametrize("wrong", [{"weight": 1.1}, {"weight": float("nan")}, {"depth": 0}, {"timeout": 0}, {"k": 3}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        Rerank(**wrong)
