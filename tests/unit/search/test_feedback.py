"""Rocchio's query: what must hold whatever is fed back."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.engine.features import MAX_CLAUSES, SMALLEST_WEIGHT
from sidecar.errors import ProfileInvalid
from sidecar.search import BUILT_IN, Profile, Rocchio
from sidecar.search.feedback import FeedbackDocument

FEATURES = st.sampled_from([f"t{number}" for number in range(40)])
WEIGHTS = st.floats(0.001, 100.0)
QUERIES = st.dictionaries(FEATURES, WEIGHTS, min_size=1, max_size=20)
DOCUMENTS = st.lists(
    st.builds(FeedbackDocument, st.floats(0.1, 50.0), st.dictionaries(FEATURES, WEIGHTS, max_size=30)), max_size=8
)
RULES = st.builds(
    Rocchio,
    terms=st.integers(1, 60),
    weight=st.floats(0.0, 0.99),
    sharpness=st.floats(0.0, 8.0),
)
LIMITS = st.integers(0, 60)


@given(RULES, QUERIES, DOCUMENTS, LIMITS)
def test_the_query_s_terms_stay_and_few_others_come(rule, query, documents, limit) -> None:
    expanded = rule.expanded(query, documents, limit)
    assert query.keys() <= expanded.keys()
    new = expanded.keys() - query.keys()
    assert len(new) <= rule.terms
    assert len(expanded) <= max(len(query), limit)
    assert new <= {feature for document in documents for feature in document.features}
    assert all(SMALLEST_WEIGHT <= weight < math.inf for weight in expanded.values())


@given(RULES, QUERIES, DOCUMENTS, LIMITS)
def test_the_sum_of_the_weights_stays(rule, query, documents, limit) -> None:
    expanded = rule.expanded(query, documents, limit)
    assert math.fsum(expanded.values()) == pytest.approx(math.fsum(query.values()), rel=1e-9)


@given(RULES, QUERIES, DOCUMENTS, LIMITS)
def test_without_weight_or_documents_it_is_the_identity(rule, query, documents, limit) -> None:
    assert rule.model_copy(update={"weight": 0.0}).expanded(query, documents, limit) == query
    assert rule.expanded(query, [], limit) == query


@given(RULES, QUERIES, DOCUMENTS, LIMITS, st.randoms())
def test_the_order_of_documents_and_terms_does_not_matter(rule, query, documents, limit, chance: random.Random) -> None:
    expanded = rule.expanded(query, documents, limit)
    shuffled = [
        FeedbackDocument(one.score, dict(chance.sample(list(one.features.items()), len(one.features))))
        for one in chance.sample(documents, len(documents))
    ]
    other = dict(chance.sample(list(query.items()), len(query)))
    assert list(rule.expanded(other, shuffled, limit).items()) == list(expanded.items())
    assert list(expanded) == sorted(expanded, key=lambda feature: (-expanded[feature], feature))


@given(RULES.filter(lambda rule: rule.weight > 0.01), QUERIES, DOCUMENTS, st.floats(0.5, 4.0))
def test_scores_and_documents_count_by_their_ratios_alone(rule, query, documents, factor) -> None:
    """Twice the scores, and twice all of the documents' weights, are the same feedback."""
    scaled = [
        FeedbackDocument(one.score * factor, {name: weight * factor for name, weight in one.features.items()})
        for one in documents
    ]
    # Equal weights may fall apart by rounding, and then other terms are the heaviest: all are kept here.
    whole = rule.model_copy(update={"terms": 60})
    assert whole.expanded(query, scaled, 100) == pytest.approx(whole.expanded(query, documents, 100), rel=1e-6)


def test_by_hand() -> None:
    best = FeedbackDocument(4.0, {"wolf": 1.0, "snow": 2.0})
    second = FeedbackDocument(2.0, {"snow": 4.0, "river": 4.0})
    rule = Rocchio(terms=2, weight=0.5, sharpness=1.0)
    # Sums: wolf 1, snow 2 + 4 / 2 = 4, river 4 / 2 = 2. Kept: snow 4, river 2; scaled to the query's sum, 3: 2 and 1.
    expanded = rule.expanded({"wolf": 2.0, "the": 1.0}, [best, second], 10)
    assert expanded == pytest.approx({"wolf": 1.0, "snow": 1.0, "river": 0.5, "the": 0.5})
    assert list(expanded) == ["snow", "wolf", "river", "the"]


def test_sharpness_is_how_much_the_best_one_counts() -> None:
    documents = [FeedbackDocument(4.0, {"snow": 1.0}), FeedbackDocument(2.0, {"rain": 1.0})]

    def shares(sharpness: float) -> float:
        expanded = Rocchio(weight=0.5, sharpness=sharpness).expanded({"wolf": 1.0}, documents, 10)
        return expanded["rain"] / expanded["snow"]

    assert [shares(sharpness) for sharpness in (0.0, 1.0, 4.0)] == pytest.approx([1.0, 0.5, 1 / 16])


def test_of_equal_terms_the_first_by_name_is_kept() -> None:
    document = FeedbackDocument(1.0, {"d": 1.0, "b": 1.0, "c": 1.0})
    assert set(Rocchio(terms=2).expanded({"a": 1.0}, [document], 10)) == {"a", "b", "c"}


def test_no_room_takes_no_new_term_but_weighs_the_old_ones_anew() -> None:
    document = FeedbackDocument(1.0, {"snow": 9.0, "wolf": 1.0})
    expanded = Rocchio(weight=0.5).expanded({"wolf": 1.0, "river": 1.0}, [document], 2)
    assert expanded == pytest.approx({"wolf": 1.5, "river": 0.5})


def test_what_no_cluster_takes_does_not_come_and_does_not_go() -> None:
    document = FeedbackDocument(1.0, {"snow": 1.0, "rain": 1e-300})
    expanded = Rocchio(weight=0.9).expanded({"wolf": 1.0, "river": SMALLEST_WEIGHT}, [document], MAX_CLAUSES)
    assert set(expanded) == {"wolf", "river", "snow"}
    assert expanded["river"] == SMALLEST_WEIGHT


def test_a_profile_names_it() -> None:
    given = {"method": "rocchio", "documents": 10, "terms": 20, "weight": 0.4, "sharpness": 1}
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "feedback": given}]})
    assert profile.sparse is not None
    assert profile.sparse.feedback == Rocchio(documents=10, terms=20, weight=0.4, sharpness=1.0)
    assert Profile.parse(profile.model_dump(mode="json")) == profile
    short = Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "feedback": {}}]})
    assert short.sparse is not None
    assert short.sparse.feedback == Rocchio(documents=5, terms=50, weight=0.2, sharpness=4.0)


def test_it_is_off_by_default() -> None:
    assert all(profile.sparse is None or profile.sparse.feedback is None for profile in BUILT_IN.values())


@pytest.mark.parametrize(
    ("feedback", "where"),
    [
        ({"method": "rm3"}, "method"),
        ({"documents": 0}, "documents"),
        ({"documents": 51}, "documents"),
        ({"terms": 0}, "terms"),
        ({"terms": 501}, "terms"),
        ({"weight": -0.1}, "weight"),
        ({"weight": 1.0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"sharpness": -1}, "sharpness"),
        ({"sharpness": float("inf")}, "sharpness"),
        ({"timeout": 0}, "timeout"),
        ({"beta": 0.75}, "beta"),
    ],
)
def test_senseless_settings_are_refused(feedback: dict[str, object], where: str) -> None:
    with pytest.raises(ProfileInvalid, match=where):
        Profile.parse({"name": "x", "retrievers": [{"kind": "sparse", "feedback": feedback}]})
    with pytest.raises(ValidationError):
        Rocchio.model_validate(feedback)


def test_words_feed_nothing_back() -> None:
    with pytest.raises(ProfileInvalid, match="feedback"):
        Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", "feedback": {}}]})
