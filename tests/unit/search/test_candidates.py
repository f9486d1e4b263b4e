"""The first-stage ranking is the same for every page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Candidate
from sidecar.search.candidates import Retrieved, first_stage
from sidecar.search.fusion import LinearFusion, ReciprocalRankFusion

IDS = [f"d{number}" for number in range(40)]


def _found(retriever: str, order: list[str], depth: int) -> Retrieved:
    hits = tuple(Candidate(id=name, score=100.0 - rank) for rank, name in enumerate(order[:depth]))
    return Retrieved(retriever, 1.0, hits)


orders = st.permutations(IDS)


@given(one=orders, other=orders, depth=st.integers(1, 15), more=st.integers(0, 25), fusion=st.sampled_from([0, 1]))
def test_fetching_deeper_only_appends(one, other, depth, more, fusion) -> None:
    """What page 1 showed stays, whatever page is asked for later: the law behind paging."""
    strategy = (LinearFusion(), ReciprocalRankFusion())[fusion]
    shallow = first_stage([_found("lexical", one, depth), _found("sparse", other, depth)], strategy, depth)
    deep_by = depth + more
    deep = first_stage([_found("lexical", one, deep_by), _found("sparse", other, deep_by)], strategy, depth)
    assert [a.id for a in deep[: len(shallow)]] == [a.id for a in shallow]
    deeper = first_stage([_found("lexical", one, deep_by + 5), _found("sparse", other, deep_by + 5)], strategy, depth)
    assert [a.id for a in deeper[:deep_by]] == [a.id for a in deep[:deep_by]]
    assert len(deep) >= min(deep_by, len(IDS))
    assert len({candidate.id for candidate in deep}) == len(deep)


def test_scores_of_both_retrievers_are_kept() -> None:
    ranking = first_stage(
        [
            Retrieved("lexical", 0.5, (Candidate("a", score=7.0), Candidate("b", score=5.0))),
            Retrieved("sparse", 0.5, (Candidate("b", score=3.0), Candidate("c", score=1.0))),
        ],
        LinearFusion(),
        depth=2,
    )
    assert [candidate.id for candidate in ranking] == ["a", "b", "c"]
    by_id = {candidate.id: candidate for candidate in ranking}
    assert (by_id["b"].lexical_score, by_id["b"].sparse_score) == (5.0, 3.0)
    assert by_id["a"].sparse_score is None
    assert by_id["c"].lexical_score is None
    assert by_id["a"].first_stage_score == 0.5


def test_an_id_in_two_indices_is_two_documents() -> None:
    lists = [
        Retrieved(
            "lexical", 0.5, (Candidate("1", {"text": "a"}, 7.0, index="a"), Candidate("1", score=5.0, index="b"))
        ),
        Retrieved("sparse", 0.5, (Candidate("1", score=3.0, index="b"), Candidate("2", score=1.0, index="b"))),
    ]
    for fusion in (LinearFusion(), ReciprocalRankFusion()):
        for depth in (1, 2):
            ranking = first_stage(lists, fusion, depth)
            found = {(one.id, one.index): (one.lexical_score, one.sparse_score) for one in ranking}
            assert found == {("1", "a"): (7.0, None), ("1", "b"): (5.0, 3.0), ("2", "b"): (None, 1.0)}
            assert len(ranking) == 3
    alone = first_stage(lists[:1], LinearFusion(), 2)
    assert [(one.index, one.first_stage_score, one.source) for one in alone] == [
        ("a", 7.0, {"text": "a"}),
        ("b", 5.0, {}),
    ]


def test_one_retriever_keeps_its_own_scores() -> None:
    ranking = first_stage([Retrieved("sparse", 0.5, (Candidate("a", score=7.0),))], LinearFusion(), depth=1)
    assert ranking[0].first_stage_score == 7.0
    assert ranking[0].sparse_score == 7.0
    assert ranking[0].lexical_score is None


def test_nothing_found_is_an_empty_ranking() -> None:
    assert first_stage([Retrieved("lexical", 1.0, ()), Retrieved("sparse", 1.0, ())], LinearFusion(), 10) == []
