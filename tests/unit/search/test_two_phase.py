import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.domain import SparseVector
from sidecar.errors import ProfileInvalid
from sidecar.search import Profile
from sidecar.search.two_phase import MAX_WINDOW, TwoPhase, rescore_clause, split_terms

WEIGHTS = st.lists(st.floats(0.015625, 10.0, width=32), max_size=30)


def vector(weights: list[float]) -> SparseVector:
    return SparseVector(tuple(range(len(weights))), tuple(weights), tuple(f"t{place}" for place in range(len(weights))))


@given(WEIGHTS, st.floats(0.01, 0.99))
def test_every_term_is_in_one_of_the_phases(weights: list[float], ratio: float) -> None:
    whole = vector(weights)
    heavy, light = split_terms(whole, ratio)
    assert {**heavy.by_term(), **light.by_term()} == whole.by_term()
    assert len(heavy) + len(light) == len(whole)
    bound = ratio * max(weights, default=0.0)
    assert all(weight >= bound for weight in heavy.weights)
    assert all(weight < bound for weight in light.weights)


@given(WEIGHTS.filter(bool), st.floats(0.01, 0.99))
def test_the_first_phase_is_never_empty(weights: list[float], ratio: float) -> None:
    assert len(split_terms(vector(weights), ratio)[0]) >= 1


def test_order_and_ids_stay() -> None:
    heavy, light = split_terms(vector([3.0, 0.5, 2.0, 1.0]), 0.4)
    assert (heavy.terms, heavy.term_ids) == (("t0", "t2"), (0, 2))
    assert (light.terms, light.weights) == (("t1", "t3"), (0.5, 1.0))


def test_nameless_vectors_stay_nameless() -> None:
    heavy, light = split_terms(SparseVector((5, 6), (2.0, 0.1)), 0.5)
    assert (heavy, light) == (SparseVector((5,), (2.0,)), SparseVector((6,), (0.1,)))


def test_the_rescore_adds_up_and_keeps_to_the_clusters_limit() -> None:
    clause = rescore_clause({"match_all": {}}, MAX_WINDOW + 1)
    assert clause["window_size"] == MAX_WINDOW
    assert clause["query"] == {
        "rescore_query": {"match_all": {}},
        "query_weight": 1.0,
        "rescore_query_weight": 1.0,
        "score_mode": "total",
    }


@pytest.mark.parametrize("rule", [{"ratio": 0.0}, {"ratio": 1.0}, {"ratio": float("nan")}, {"window": 0}, {"size": 1}])
def test_senseless_rules_are_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ProfileInvalid, match="two_phase"):
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "two_phase": rule}]})
    with pytest.raises(ValidationError):
        TwoPhase.model_validate(rule)


def test_it_is_off_by_default() -> None:
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "sparse"}]})
    assert profile.sparse is not None
    assert profile.sparse.two_phase is None
    assert not profile.count_hits
