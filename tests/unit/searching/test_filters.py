"""A caller's filter reads the index that is searched, and no other one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidInput
from sidecar.server.searching.filters import ALLOWED, check_filter

TERM = {"term": {"kind": "report"}}

LOOKUP = {"terms": {"user": {"index": "secret", "id": "1", "path": "names"}}}

FOREIGN = [
    LOOKUP,
    {"terms": {"boost": 1.0, "user": {"index": "secret", "id": "1", "path": "names"}}},
    {"geo_shape": {"place": {"indexed_shape": {"index": "secret", "id": "1", "path": "shape"}}}},
    {"percolate": {"field": "query", "index": "secret", "id": "1"}},
    {"more_like_this": {"fields": ["text"], "like": [{"_index": "secret", "_id": "1"}]}},
    {"wrapper": {"query": base64.b64encode(b'{"match_all": {}}').decode()}},
    {"template": {"terms": {"user": {"index": "secret"}}}},
    {"script": {"script": {"source": "true"}}},
    {"terms_set": {"codes": {"terms": ["a"], "minimum_should_match_script": {"source": "1"}}}},
    {"function_score": {"query": {"match_all": {}}, "script_score": {"script": {"source": "1"}}}},
    {"intervals": {"text": {"match": {"query": "a", "filter": {"script": {"source": "true"}}}}}},
    {"knn": {"vector": {"vector": [1.0], "k": 1, "filter": LOOKUP}}},
]

PLAIN = [
    TERM,
    {"terms": {"kind": ["report", "note"], "boost": 2.0}},
    {"range": {"year": {"gte": 1990, "lt": "2000"}}},
    {"exists": {"field": "title"}},
    {"ids": {"values": ["1"]}},
    {"match": {"text": {"query": "wing stall", "operator": "and"}}},
    {"geo_distance": {"distance": "1km", "place": {"lat": 1.0, "lon": 2.0}}},
    {"term": {"index": "a field of that name"}},
]

HOLDERS = st.sampled_from(
    [
        lambda clause: {"bool": {"filter": [TERM, clause]}},
        lambda clause: {"bool": {"must": clause}},
        lambda clause: {"bool": {"should": [clause], "minimum_should_match": 1}},
        lambda clause: {"bool": {"must_not": [clause], "boost": 1.0}},
        lambda clause: {"constant_score": {"filter": clause}},
        lambda clause: {"dis_max": {"queries": [TERM, clause]}},
        lambda clause: {"nested": {"path": "parts", "query": clause}},
        lambda clause: {"has_child": {"type": "part", "query": clause}},
        lambda clause: {"has_parent": {"parent_type": "whole", "query": clause}},
    ]
)


def refused(given: object) -> bool:
    try:
        check_filter(given)
    except InvalidInput as error:
        return error.field == "filter"
    return False


@pytest.mark.parametrize("clause", PLAIN)
def test_clauses_that_read_the_index_alone_pass(clause: dict[str, object]) -> None:
    assert not refused(clause)
    assert not refused([TERM, clause])


@pytest.mark.parametrize("clause", FOREIGN)
def test_clauses_that_read_elsewhere_or_run_something_are_refused(clause: dict[str, object]) -> None:
    assert refused(clause)
    assert refused([TERM, clause])


@given(st.sampled_from(FOREIGN), st.lists(HOLDERS, max_size=6))
def test_however_deep_they_are_hidden(clause: dict[str, object], holders) -> None:
    for holder in holders:
        clause = holder(clause)
    assert refused(clause)


@given(st.sampled_from(PLAIN), st.lists(HOLDERS, max_size=6))
def test_and_what_is_harmless_passes_at_any_depth(clause: dict[str, object], holders) -> None:
    for holder in holders:
        clause = holder(clause)
    assert not refused(clause)


@pytest.mark.parametrize(
    "given",
    [
        "term",
        7,
        [7],
        [[TERM]],
        {},
        {"term": {"a": 1}, "terms": LOOKUP["terms"]},
        {"term": "a"},
        {"bool": [TERM]},
        {"bool": {"mustNot": [LOOKUP]}},
        {"nested": {"path": "parts", "query": TERM, "inner_hits": {"_source": True}}},
        {"constant_score": {"filter": TERM, "query": LOOKUP}},
    ],
)
def test_what_is_no_clause_or_hides_one_beside_the_known_keys_is_refused(given: object) -> None:
    assert refused(given)


def test_no_filter_is_none() -> None:
    assert not refused(None)
    assert not refused([])


def test_the_refusal_says_what_there_is_and_not_what_came() -> None:
    with pytest.raises(InvalidInput) as raised:
        check_filter({"xylophone": {"a": "quartz"}})
    assert "xylophone" not in raised.value.message
    assert all(name in raised.value.message for name in ALLOWED)
