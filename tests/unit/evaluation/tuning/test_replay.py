"""A ranking that is computed is the one that a search would have made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Query, RerankResult
from sidecar.evaluation.tuning.grid import grid_of
from sidecar.evaluation.tuning.outcomes import Outcomes, tops_of
from sidecar.evaluation.tuning.replay import first_ranking, policy_of, reading, reranked, top
from sidecar.evaluation.tuning.settings import setting_of, tuned
from sidecar.search import BUILT_IN, Profile
from sidecar.search.candidates import Place, Retrieved, first_stage
from sidecar.search.identity import key_of
from sidecar.search.reranking import Head, Reranker
from tests.unit.evaluation.tuning.made import made_read, made_search, profiles, retrieved, said, scored

SIZE = 10


class Knowing:
    """A sidecar that scores texts by what was said of them before."""

    def __init__(self, said) -> None:
        self._said = said

    async def rerank(self, query: str, documents: Sequence[str], **_how: object) -> RerankResult:
        found = [(place, self._said[text]) for place, text in enumerate(documents)]
        results = [type(one)(place, one.score, one.logit) for place, one in found]
        return RerankResult(tuple(results), "made", "f")


async def _searched(profile: Profile, lists, read) -> list[str]:
    """The rest of a search, from the retrievers' lists on, by the Reranker itself."""
    weights = {one.kind: one.weight for one in profile.retrievers}
    weighted = [Retrieved(one.retriever, weights[one.retriever], one.hits) for one in lists]
    found = first_stage(weighted, profile.fusion, profile.candidates)
    if profile.rerank is None:
        return [one.id for one in found]
    texts = {key: "" if one is None else "/".join(key) for key, one in read.items()}
    head = [
        Head(place, {"text": texts[key_of(one)]}, one.first_stage_score or 0.0)
        for place, one in enumerate(found[: profile.rerank.depth])
    ]
    known = Knowing({texts[key]: one for key, one in read.items()})
    reranker = Reranker(known, profile.rerank.model_copy(update={"calibrated": False, "stop_early": None}))
    reranker._policy = profile.rerank.model_copy(update={"stop_early": None})
    reranker.check = lambda _read: None  # type: ignore[method-assign]  # made scores are no sigmoids
    answer = await reranker.rerank("q", head, len(found), ("text",), 5.0)
    return [found[place].id for place in answer.order]


@given(profiles, st.data())
def test_any_setting_ranks_as_the_profile_that_is_written_would(profile: Profile, data: st.DataObject) -> None:
    import asyncio

    kinds = [one.kind for one in profile.retrievers]
    lists = data.draw(retrieved(kinds))
    read = data.draw(said(lists))
    grid = grid_of(profile, frequencies=True)
    setting = data.draw(st.sampled_from(grid.settings))
    made = tuned(profile, setting, "tuned")
    ranking = first_ranking(scored(lists), setting.first, profile.candidates)
    if made.rerank is not None and setting.rerank is not None:
        head = reading(ranking, read, setting.rerank.depth)
        ranking = list(reranked(ranking, head, policy_of(made.rerank, setting.rerank)))
    assert [one.key[0] for one in ranking] == asyncio.run(_searched(made, lists, read))


@given(profiles, st.data())
def test_all_answers_at_once_are_those_of_each_setting(profile: Profile, data: st.DataObject) -> None:
    """What lies too deep to be seen is left out before anything is reordered: no answer may change by that."""
    kinds = [one.kind for one in profile.retrievers]
    lists = data.draw(retrieved(kinds))
    read = data.draw(said(lists))
    own = data.draw(st.sampled_from([None, "d1"]))
    size = data.draw(st.integers(1, 12))
    grid = (
        grid_of(profile, frequencies=False) if len(kinds) > 1 or profile.rerank else grid_of(profile, frequencies=True)
    )
    firsts = {first: first_ranking(scored(lists), first, profile.candidates) for first in grid.firsts}
    tops = tops_of(grid, firsts, dict.fromkeys(grid.idf_shares, read), profile.rerank, own, size)
    assert len(tops) == len(grid.settings)
    place = data.draw(st.integers(0, len(tops) - 1))
    setting = grid.settings[place]
    whole = firsts[setting.first]
    if profile.rerank is not None and setting.rerank is not None:
        head = reading(whole, read, setting.rerank.depth)
        whole = list(reranked(whole, head, policy_of(profile.rerank, setting.rerank)))
    assert tops[place] == top(whole, own, size)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("hybrid", 108, "b59683ec14e3b75a"),
        ("hybrid+rerank", 4_320, "f2ffdff3533f48aa"),
        ("hybrid-rrf", 108, "b688ff7ffb36476d"),
    ],
)
def test_every_answer_is_what_it_was_before_rankings_were_made_of_keys_alone(
    name: str, settings: int, expected: str
) -> None:
    """The digests are those of an implementation that fused whole candidates, setting by setting."""
    profile = BUILT_IN[name]
    grid = grid_of(profile, frequencies=True)
    assert len(grid.settings) == settings
    digest = hashlib.sha256()
    for seed in range(3):
        lists = {share: scored(made_search(seed, share)) for share in grid.idf_shares}
        firsts = {first: first_ranking(lists[first.collection_idf], first, profile.candidates) for first in grid.firsts}
        read = dict.fromkeys(grid.idf_shares, made_read(seed))
        digest.update(repr(tops_of(grid, firsts, read, profile.rerank, "d7", SIZE)).encode())
    assert digest.hexdigest()[:16] == expected


def test_of_documents_that_share_an_id_the_best_one_counts() -> None:
    found = [Place((name, "i", ""), score) for name, score in (("a", 3.0), ("b", 2.0), ("c", 1.0))]
    again = Place(("a", "other", ""), 2.5)
    assert top([found[0], again, *found[1:]], None, 2) == ("a", "b")
    assert top(found, "b", 2) == ("a", "c")


def test_values_are_measured_once_for_each_answer_and_belong_to_their_settings() -> None:
    profile = BUILT_IN["lexical+rerank"]
    grid = grid_of(profile, frequencies=False)
    outcomes = Outcomes(grid, "nDCG@10", {"q1": {"a": 2, "b": 1}, "q2": {"z": 1}})
    count = len(grid.settings)
    outcomes.add(Query("q1", "?"), [("a", "b")] + [("b", "a")] * (count - 2) + [("c",)])
    outcomes.add(Query("q2", "?"), [("z",)] * count)
    values = outcomes.values()
    assert values.shape == (count, 2)
    assert values[0, 0] == 1.0
    assert 0.0 < values[1, 0] < 1.0
    assert values[-1, 0] == 0.0
    assert set(values[:, 1]) == {1.0}
    assert outcomes.rankings(0) == {"q1": ("a", "b"), "q2": ("z",)}
    assert outcomes.rankings(count - 1)["q1"] == ("c",)
    assert setting_of(profile) == grid.start
