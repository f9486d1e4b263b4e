"""What becomes of an application's own body."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.search.augment import Matching, augmented_body
from sidecar.search.bodies import Anatomy, Unchanged
from sidecar.search.bodies import anatomy as anatomy_in

SPARSE = {"bool": {"should": [{"rank_feature": {"field": "splade.wing", "linear": {}, "boost": 2.0}}]}}
MATCH = {"match": {"text": {"query": "swept wing"}}}
FILTER = {"term": {"kind": "report"}}
TEXT_FIELDS = frozenset({"title", "text", "content"})


def anatomy(body, text=None, **options) -> Anatomy:
    return anatomy_in(body, TEXT_FIELDS, text, **options)


def _augment(body, **options):
    options = {"lexical_weight": 1.0, **options}
    return augmented_body(body, anatomy(body), SPARSE, **options)


def test_a_plain_match_becomes_one_of_two_clauses() -> None:
    body = {"query": MATCH, "size": 20, "from": 40, "aggs": {"kinds": {"terms": {"field": "kind"}}}, "highlight": {}}
    new = _augment(body)
    assert new["query"] == {"bool": {"should": [MATCH, SPARSE], "minimum_should_match": 1}}
    assert {key: new[key] for key in body if key != "query"} == {key: body[key] for key in body if key != "query"}
    assert anatomy(body).text == "swept wing"


def test_filters_restrict_both_and_texts_become_optional() -> None:
    body = {
        "query": {
            "bool": {
                "must": [MATCH, {"range": {"year": {"gte": 1950}}}],
                "should": [{"match_phrase": {"title": "swept wing"}}],
                "filter": FILTER,
                "must_not": [{"term": {"withdrawn": True}}],
                "_name": "mine",
            }
        }
    }
    assert _augment(body)["query"] == {
        "bool": {
            "should": [
                {"bool": {"must": [MATCH], "should": [{"match_phrase": {"title": "swept wing"}}]}},
                SPARSE,
            ],
            "minimum_should_match": 1,
            "must": [{"range": {"year": {"gte": 1950}}}],
            "filter": [FILTER],
            "must_not": [{"term": {"withdrawn": True}}],
            "_name": "mine",
        }
    }


def test_a_text_that_was_optional_stays_optional() -> None:
    body = {"query": {"bool": {"filter": [FILTER], "should": [MATCH]}}}
    assert _augment(body)["query"]["bool"]["minimum_should_match"] == 0
    body = {"query": {"bool": {"filter": [FILTER], "should": [MATCH], "minimum_should_match": 1}}}
    assert _augment(body)["query"]["bool"]["minimum_should_match"] == 1
    body = {"query": {"bool": {"should": [MATCH]}}}
    assert _augment(body)["query"]["bool"]["minimum_should_match"] == 1


def test_matching_own_finds_exactly_what_it_found() -> None:
    body = {"query": {"bool": {"must": [MATCH], "filter": [FILTER]}}}
    new = _augment(body, matching=Matching.OWN)
    assert new["query"] == {"bool": {"must": [body["query"]], "should": [SPARSE]}}
    new = _augment(body, matching=Matching.OWN, lexical_weight=0.0)
    silent = {"bool": {"must": [body["query"]], "boost": 0.0}}
    assert new["query"] == {"bool": {"must": [silent], "should": [SPARSE]}}


def test_weights() -> None:
    clauses = _augment({"query": MATCH}, lexical_weight=0.3)["query"]["bool"]["should"]
    assert clauses == [{"bool": {"must": [MATCH], "boost": 0.3}}, SPARSE]
    clauses = _augment({"query": MATCH}, lexical_weight=0.0)["query"]["bool"]["should"]
    assert clauses == [{"bool": {"must": [MATCH], "boost": 0.0}}, SPARSE]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, Unchanged.NO_TEXT_QUERY),
        ({"query": {"match_all": {}}}, Unchanged.NO_TEXT_QUERY),
        ({"query": {"term": {"kind": "x"}}}, Unchanged.NO_TEXT_QUERY),
        ({"query": {"bool": {"filter": [FILTER]}}}, Unchanged.NO_TEXT_QUERY),
        ({"query": {"match": {"text": "  "}}}, Unchanged.NO_TEXT_QUERY),
        ({"query": MATCH, "sort": [{"year": "desc"}]}, Unchanged.SORTED_BY_FIELD),
        ({"query": MATCH, "sort": "year"}, Unchanged.SORTED_BY_FIELD),
        ({"query": MATCH, "sort": [{"_score": {"order": "asc"}}]}, Unchanged.SORTED_BY_FIELD),
        ({"query": MATCH, "size": 0, "aggs": {}}, Unchanged.NO_HITS_WANTED),
        ({"query": MATCH, "min_score": 3}, Unchanged.SCORE_THRESHOLD),
        ({"query": {"knn": {"v": {"vector": [1], "k": 1}}}}, Unchanged.UNSUPPORTED_QUERY),
        ({"query": MATCH, "knn": {}}, Unchanged.UNSUPPORTED_QUERY),
        ({"query": {"function_score": {"query": MATCH}}}, Unchanged.UNSUPPORTED_QUERY),
        ({"query": {"hybrid": {"queries": [MATCH]}}}, Unchanged.UNSUPPORTED_QUERY),
        ({"query": {"bool": {"must": [{"bool": {"must": [MATCH]}}]}}}, Unchanged.UNSUPPORTED_QUERY),
        ({"query": {"query_string": {"query": "a AND b"}}}, Unchanged.QUERY_SYNTAX),
        ({"query": {"bool": {"must": [MATCH, {"match": {"title": "other"}}]}}}, Unchanged.SEVERAL_TEXTS),
        ({"query": {"bool": {"must": [MATCH], "should": [{"query_string": {"query": "x"}}]}}}, Unchanged.SEVERAL_TEXTS),
        ({"query": {"bool": {"must": [MATCH], "mustNot": [FILTER]}}}, Unchanged.UNSUPPORTED_QUERY),
    ],
)
def test_what_cannot_be_augmented_says_why(body, reason) -> None:
    assert anatomy(body).unchanged == reason
    with pytest.raises(ValueError, match="can't be augmented"):
        augmented_body(body, anatomy(body), SPARSE, lexical_weight=1.0)


@pytest.mark.parametrize("sort", [None, [], "_score", ["_score", {"year": "desc"}], [{"_score": {"order": "desc"}}]])
def test_sorting_by_score_may_be_said_aloud(sort) -> None:
    assert anatomy({"query": MATCH, "sort": sort}).unchanged is None


@pytest.mark.parametrize(
    "query",
    [
        {"multi_match": {"query": "swept wing", "fields": ["title", "text"]}},
        {"combined_fields": {"query": "swept wing", "fields": ["title", "text"]}},
        {"match_phrase": {"text": "swept wing"}},
        {"dis_max": {"queries": [MATCH, {"match": {"title": "swept wing"}}]}},
        {"bool": {"must": MATCH, "should": [{"match": {"title": "swept wing"}}, {"term": {"kind": "x"}}]}},
    ],
)
def test_the_text_is_found_wherever_it_stands(query) -> None:
    assert anatomy({"query": query}).text == "swept wing"


def test_a_given_text_says_which_search_is_meant() -> None:
    assert anatomy({"query": {"query_string": {"query": "a AND b"}}}, text="a b").text == "a b"
    both = {"query": {"bool": {"must": [MATCH, {"match": {"title": "x"}}]}}}
    parts = anatomy(both, text="swept wing")
    assert (parts.text, parts.scoring, parts.must) == ("swept wing", MATCH, ({"match": {"title": "x"}},))
    assert anatomy(both, text="neither").unchanged == Unchanged.SEVERAL_TEXTS
    assert anatomy({"query": MATCH}, text=" swept wing ").text == " swept wing "
    assert anatomy({"query": MATCH}, text="another").unchanged == Unchanged.SEVERAL_TEXTS
    assert anatomy({"query": MATCH}, text=" ").unchanged == Unchanged.NO_TEXT_QUERY


clauses = st.sampled_from([MATCH, FILTER, {"match": {"title": "swept wing"}}, {"range": {"year": {"gt": 1}}}])
bodies = st.fixed_dictionaries(
    {
        "query": st.fixed_dictionaries(
            {"bool": st.dictionaries(st.sampled_from(["must", "should", "filter", "must_not"]), st.lists(clauses))}
        )
    },
    optional={"size": st.integers(1, 50), "_source": st.sampled_from([True, False]), "aggs": st.just({"a": {}})},
)


@given(body=bodies, matching=st.sampled_from(Matching))
def test_the_argument_is_never_changed(body, matching) -> None:
    before = copy.deepcopy(body)
    parts = anatomy(body)
    if parts.unchanged is not None:
        return
    new = augmented_body(body, parts, SPARSE, lexical_weight=0.5, matching=matching)
    assert body == before
    new["query"]["bool"].clear()
    assert body == before
