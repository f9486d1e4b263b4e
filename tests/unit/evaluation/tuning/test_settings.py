"""What a setting is, and the profile that it makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import EvaluationError
from sidecar.evaluation.tuning.grid import grid_of
from sidecar.evaluation.tuning.settings import FirstStageSetting, RerankSetting, Setting, apart, setting_of, tuned
from sidecar.search import BUILT_IN, LinearFusion, Normalization, Profile, ReciprocalRankFusion
from tests.unit.evaluation.tuning.made import PROFILES, profiles


@given(profiles)
def test_a_profile_with_its_own_setting_is_the_same_profile(profile: Profile) -> None:
    assert tuned(profile, setting_of(profile), profile.name) == profile


@given(profiles, st.data())
def test_a_tuned_profile_has_the_setting_and_nothing_else_of_another(profile: Profile, data: st.DataObject) -> None:
    setting = data.draw(st.sampled_from(grid_of(profile, frequencies=True).settings))
    made = tuned(profile, setting, "tuned")
    assert made.name == "tuned"
    assert setting_of(made) == setting or (setting.first.fusion, setting.rerank) == (made.fusion, None)
    same = {"name": profile.name, "fusion": profile.fusion}
    back = tuned(made, setting_of(profile), profile.name)
    assert back.model_copy(update=same) == profile


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_grid_begins_with_the_profile_and_has_nothing_twice(profile: Profile) -> None:
    grid = grid_of(profile, frequencies=True)
    assert grid.settings[0] == grid.start == setting_of(profile)
    assert len(set(grid.settings)) == len(grid.settings) == len(grid.firsts) * len(grid.reranks)
    shown = [tuple(setting.axes().items()) for setting in grid.settings]
    assert len(set(shown)) == len(shown), "two settings that nobody could tell apart"
    assert all(setting.cost <= grid.start.cost for setting in grid.settings)


def test_shares_of_a_sum_are_those_of_the_weights_whatever_their_scale() -> None:
    fusion = LinearFusion()
    first = FirstStageSetting(fusion, 3.0, 7.0, 0.7)
    assert first.share == FirstStageSetting(fusion, 0.3, 0.7, 0.7).share == 0.7
    grid = grid_of(BUILT_IN["hybrid"], frequencies=True)
    alike = [one for one in grid.firsts if (one.fusion, one.share, one.collection_idf) == (fusion, 0.7, 0.7)]
    assert alike == [grid.start.first]


def test_what_is_tuned_depends_on_what_the_profile_has() -> None:
    def axes(name: str, frequencies: bool = True) -> tuple[str, ...]:
        return grid_of(BUILT_IN[name], frequencies=frequencies).axes

    everything = ("fusion", "sparse share", "collection_idf", "rerank share", "rerank depth")
    assert axes("hybrid+rerank") == axes("hybrid-rrf+rerank") == everything
    assert axes("hybrid+rerank", frequencies=False) == ("fusion", "sparse share", "rerank share", "rerank depth")
    assert axes("hybrid") == everything[:3]
    assert axes("sparse") == ("collection_idf",)
    assert axes("lexical+rerank") == ("rerank share", "rerank depth")
    for name, frequencies in (("lexical", True), ("sparse", False)):
        with pytest.raises(EvaluationError, match=f"nothing to tune in the profile {name}"):
            grid_of(BUILT_IN[name], frequencies=frequencies)


def test_a_sum_that_the_cluster_makes_is_left_to_it() -> None:
    profile = BUILT_IN["hybrid+rerank"].model_copy(update={"fusion": LinearFusion(normalization=Normalization.NONE)})
    grid = grid_of(profile, frequencies=True)
    assert {first.fusion for first in grid.firsts} == {profile.fusion}
    assert grid.axes == ("collection_idf", "rerank share", "rerank depth")


def test_no_setting_reads_deeper_than_the_profile_or_stops_early_by_nothing() -> None:
    own = PROFILES[-1]
    grid = grid_of(own, frequencies=True)
    assert grid.deepest == 25
    assert {one.depth for one in grid.reranks if one is not None} == {10, 20, 25}
    assert all(one is not None and one.weight < 1.0 for one in grid.reranks)
    assert any(
        one is not None and one.weight == 1.0 for one in grid_of(BUILT_IN["sparse+rerank"], frequencies=True).reranks
    )


@pytest.mark.parametrize(
    ("max_depth", "tried"),
    [
        (None, [10, 20, 30, 50]),
        (200, [10, 20, 30, 50, 100, 200]),
        (75, [10, 20, 30, 50, 75]),
        (20, [10, 20, 50]),
        (50, [10, 20, 30, 50]),
    ],
)
def test_whoever_tunes_may_allow_another_depth_and_that_one_is_tried(max_depth: int | None, tried: list[int]) -> None:
    grid = grid_of(BUILT_IN["hybrid+rerank"], frequencies=False, max_depth=max_depth)
    assert sorted({setting.cost for setting in grid.settings}) == tried
    assert grid.start.cost == 50
    assert grid.deepest == tried[-1]
    assert len(set(grid.settings)) == len(grid.settings)


START = Setting(FirstStageSetting(LinearFusion(), 0.3, 0.7, 0.7), RerankSetting(50, 0.5))


@pytest.mark.parametrize(
    ("other", "changes", "distance"),
    [
        (START, 0, 0.0),
        (Setting(START.first, RerankSetting(50, 0.7)), 1, 0.2),
        (Setting(START.first, RerankSetting(30, 0.5)), 1, 0.02),
        (Setting(FirstStageSetting(ReciprocalRankFusion(rank_constant=20), 0.3, 0.7, 0.7), START.rerank), 1, 0.0),
        (Setting(FirstStageSetting(LinearFusion(), 0.6, 0.4, 0.0), START.rerank), 2, 1.0),
    ],
)
def test_how_far_settings_are_apart(other: Setting, changes: int, distance: float) -> None:
    assert apart(START, other) == (changes, pytest.approx(distance))
