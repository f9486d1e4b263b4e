"""Folds, the one-standard-error rule, and that no query judges its own choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import EvaluationError
from sidecar.evaluation.tuning.choice import Choice, deal, standard_error, validated
from sidecar.evaluation.tuning.curves import curves_of
from sidecar.evaluation.tuning.grid import Grid, grid_of
from sidecar.search import BUILT_IN

IDS = st.lists(st.text(min_size=1, max_size=4), unique=True, min_size=1, max_size=40)


@given(IDS, st.integers(2, 8), st.integers(0, 5))
def test_folds_are_a_partition_of_like_sizes(queries, folds, seed) -> None:
    dealt = deal(queries, folds, seed)
    assert len(dealt) == len(queries)
    sizes = [dealt.count(fold) for fold in range(folds)]
    assert sum(sizes) == len(queries)
    assert max(sizes) - min(sizes) <= 1


@given(IDS, st.integers(2, 8), st.integers(0, 5), st.randoms())
def test_a_query_s_fold_is_its_own_whatever_the_order_of_the_file(queries, folds, seed, random) -> None:
    shuffled = list(queries)
    random.shuffle(shuffled)
    dealt = dict(zip(queries, deal(queries, folds, seed), strict=True))
    assert dict(zip(shuffled, deal(shuffled, folds, seed), strict=True)) == dealt


def test_another_seed_deals_otherwise() -> None:
    queries = [f"q{number}" for number in range(40)]
    assert deal(queries, 5, 0) != deal(queries, 5, 1)


@pytest.fixture
def grid() -> Grid:
    return grid_of(BUILT_IN["lexical+rerank"], frequencies=False)


def _place(grid: Grid, depth: int, weight: float) -> int:
    (found,) = [
        n
        for n, one in enumerate(grid.settings)
        if one.axes() | {"rerank depth": depth, "rerank share": weight} == one.axes()
    ]
    return found


def _values(grid: Grid, queries: int = 40) -> np.ndarray:
    """All settings alike, but each query with a level of its own."""
    levels = np.random.default_rng(1).uniform(0.2, 0.8, queries)
    return np.tile(levels, (len(grid.settings), 1))


def test_among_equals_the_profile_is_chosen_and_then_its_cheapest_depth(grid) -> None:
    values = _values(grid)
    assert Choice(grid).of(values) == _place(grid, 10, 0.5)
    for depth in (10, 20, 30):
        values[[n for n, one in enumerate(grid.settings) if one.cost == depth]] -= 0.1
    assert Choice(grid).of(values) == 0


def test_a_cheaper_depth_is_not_taken_where_it_is_worse_by_more_than_an_error(grid) -> None:
    values = _values(grid)
    noise = np.random.default_rng(2).normal(0.0, 0.05, values.shape[1])
    cheaper = [n for n, one in enumerate(grid.settings) if one.cost < 50]
    error = noise.std(ddof=1) / np.sqrt(len(noise))
    values[cheaper] += noise - noise.mean() - 0.9 * error
    assert Choice(grid).of(values) == _place(grid, 10, 0.5)
    values[cheaper] -= 0.2 * error
    assert Choice(grid).of(values) == 0


def test_what_differs_more_is_not_taken_for_being_cheaper(grid) -> None:
    """Another share at a cheaper depth would be one of many that were tried."""
    values = _values(grid)
    values[[n for n, one in enumerate(grid.settings) if one.cost < 50]] -= 0.1
    values[_place(grid, 10, 0.8)] += 0.1
    assert Choice(grid).of(values) == 0


def test_what_is_better_for_every_query_is_chosen(grid) -> None:
    values = _values(grid)
    best = _place(grid, 50, 0.8)
    values[best] += 0.05
    assert Choice(grid).of(values) == best
    found = validated(grid, values, [f"q{n}" for n in range(40)], 5, 0)
    assert set(found.choices) == {found.final} == {best}
    assert found.comparison.difference == pytest.approx(0.05)
    assert found.comparison.p_value < 0.001
    assert found.error == pytest.approx(0.0, abs=1e-9)


def test_no_query_has_a_say_in_the_setting_that_it_is_measured_with(grid) -> None:
    values = np.random.default_rng(3).uniform(0.0, 1.0, (len(grid.settings), 30))
    queries = [f"q{number}" for number in range(30)]
    before = validated(grid, values, queries, 5, 7)
    for column in (0, 11, 29):
        changed = values.copy()
        changed[:, column] = np.random.default_rng(column).permutation(changed[:, column])
        after = validated(grid, changed, queries, 5, 7)
        fold = before.folds[column]
        assert after.choices[fold] == before.choices[fold]
        assert after.held_out[column] == changed[before.choices[fold], column]


def test_noise_gains_nothing_on_queries_that_did_not_choose(grid) -> None:
    """On those that chose it seems to: that is why they are not asked."""
    flattering, honest = [], []
    for seed in range(30):
        values = np.random.default_rng(seed).normal(0.5, 0.2, (len(grid.settings), 60))
        found = validated(grid, values, [f"q{number}" for number in range(60)], 5, 0)
        flattering.append(values[found.final].mean() - values[0].mean())
        honest.append(found.comparison.difference)
    error = standard_error(np.array(honest))
    assert abs(np.mean(honest)) < 3.0 * error
    assert np.mean(flattering) > 3.0 * error


def test_too_few_queries_are_refused(grid) -> None:
    with pytest.raises(EvaluationError, match="3 judged queries can't be divided"):
        validated(grid, _values(grid, 3), ["a", "b", "c"], 5, 0)
    found = validated(grid, _values(grid, 4), ["a", "b", "c", "d"], 5, 0)
    assert sorted(found.folds) == [0, 1, 2, 3]


def test_the_error_is_that_of_a_mean() -> None:
    differences = np.array([0.1, -0.1, 0.3, 0.1])
    assert standard_error(differences) == pytest.approx(np.sqrt(((differences - 0.1) ** 2).sum() / 3 / 4))
    assert standard_error(differences[:1]) == 0.0


def test_a_curve_is_the_chosen_setting_with_one_value_changed(grid) -> None:
    values = _values(grid)
    chosen = _place(grid, 50, 0.7)
    values[_place(grid, 50, 0.3)] -= 0.25
    curves = curves_of(grid, values, chosen)
    assert list(curves) == ["rerank share", "rerank depth"]
    assert [point.value for point in curves["rerank share"]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert [point.value for point in curves["rerank depth"]] == [10, 20, 30, 50]
    by_value = {point.value: point for point in curves["rerank share"]}
    assert by_value[0.3].difference == pytest.approx(-0.25)
    assert by_value[0.7].difference == by_value[0.7].error == 0.0
    assert by_value[0.7].mean == pytest.approx(values[chosen].mean())
