"""The law of augmented bodies: what restricts in the application's own body, restricts in the augmented one.

Bodies are drawn at random and evaluated over all documents of a small world, by the semantics of `bool` and nothing of
the code under test.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.search.augment import Matching, augmented_body
from sidecar.search.bodies import Anatomy, Place, Unchanged, anatomy
from sidecar.search.clauses import Searched, searched

FIELDS = frozenset({"title", "text"})
SPARSE = {"exists": {"field": "vector"}}
EVERYTHING = {"match_all": {}}
TEXT = {"match": {"text": "lift"}}
TITLE = {"match": {"title": "lift"}}
TENANT = {"match": {"tenant": "lift"}}
NUMBER = {"match": {"number": 1}}

WORLD = [
    {"title": title, "text": text, "tenant": tenant, "number": number, "vector": vector}
    for title, text, tenant, number, vector in itertools.product(
        ("lift", "drag", ""), ("lift", "drag", ""), ("lift", ""), (1, 2), (1, None)
    )
]


def finds(query, document) -> bool:
    ((kind, content),) = query.items()
    if kind == "match_all":
        return True
    if kind == "exists":
        return document[content["field"]] is not None
    if kind == "dis_max":
        return any(finds(part, document) for part in content["queries"])
    if kind in ("multi_match", "query_string"):
        return any(document[field] == content["query"] for field in content["fields"])
    if kind == "bool":
        return _bool_finds(content, document)
    assert kind in ("match", "match_phrase", "term"), kind
    ((field, value),) = content.items()
    return document[field] == (value["query"] if isinstance(value, dict) else value)


def _bool_finds(content, document) -> bool:
    must, should, filters, must_not = (_list(content.get(key)) for key in ("must", "should", "filter", "must_not"))
    if not all(finds(clause, document) for clause in [*must, *filters]):
        return False
    if any(finds(clause, document) for clause in must_not):
        return False
    given_minimum = content.get("minimum_should_match")
    needed = 0 if given_minimum is None else _needed(given_minimum, len(should))
    if not must and not filters and should:
        needed = max(needed, 1)
    return sum(finds(clause, document) for clause in should) >= needed


def _needed(minimum, clauses: int) -> int:
    if isinstance(minimum, str) and minimum.endswith("%"):
        return int(clauses * int(minimum[:-1]) / 100)
    return int(minimum)


def _list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def answer(query) -> set[int]:
    return {number for number, document in enumerate(WORLD) if finds(query, document)}


def widened(query, text):
    """The query as if each of its searches for `text` found everything."""
    ((kind, content),) = query.items()
    if kind == "bool":
        return {
            "bool": {
                key: [widened(clause, text) for clause in _list(value)] if key in ("must", "should") else value
                for key, value in content.items()
            }
        }
    if kind in ("match", "match_phrase"):
        ((field, value),) = content.items()
        searches = field in FIELDS and (value["query"] if isinstance(value, dict) else value) == text
    else:
        searches = kind in ("multi_match", "query_string", "dis_max")
    return EVERYTHING if searches else query


leaves = st.sampled_from(
    [
        TEXT,
        TITLE,
        TENANT,
        NUMBER,
        {"match": {"text": "drag"}},
        {"match_phrase": {"title": {"query": "lift"}}},
        {"match": {"title": {"query": "drag", "boost": 2}}},
        {"match": {"text": 7}},
        {"term": {"number": 2}},
        {"term": {"tenant": "lift"}},
        {"multi_match": {"query": "lift", "fields": ["title", "text"]}},
        {"query_string": {"query": "lift", "fields": ["text"]}},
        {"dis_max": {"queries": [TEXT, TITLE]}},
        EVERYTHING,
    ]
)
some = st.lists(leaves, max_size=3)


def bools(clauses):
    return st.fixed_dictionaries(
        {},
        optional={
            "must": clauses,
            "should": clauses,
            "filter": some,
            "must_not": st.lists(leaves, max_size=1),
            "minimum_should_match": st.sampled_from([0, 1, 2, 3, "1", "50%", "100%"]),
        },
    ).map(lambda content: {"bool": content})


queries = st.one_of(leaves, bools(st.lists(st.one_of(leaves, bools(some)), max_size=3)))


@settings(max_examples=600)
@given(query=queries, text=st.sampled_from([None, "lift", "drag", "stall"]))
def test_no_document_is_found_that_the_body_does_not_allow(query, text) -> None:
    parts = anatomy({"query": query}, FIELDS, text)
    if parts.unchanged is not None:
        return
    found = answer(augmented_body({"query": query}, parts, SPARSE, lexical_weight=0.5)["query"])
    assert found <= answer(widened(query, parts.text)), "documents that no text search of this text would find"
    assert answer(query) <= found, "documents that the body's own query finds"
    for clause in parts.restrictions:
        assert found <= answer(clause), "documents that feedback would not be given by"


@settings(max_examples=600)
@given(query=queries, text=st.sampled_from([None, "lift", "drag"]))
def test_of_the_clauses_that_must_match_one_alone_may_be_missed(query, text) -> None:
    parts = anatomy({"query": query}, FIELDS, text)
    if parts.unchanged is not None or "bool" not in query:
        return
    found = answer(augmented_body({"query": query}, parts, SPARSE, lexical_weight=1.0)["query"])
    must = _list(query["bool"].get("must"))
    for number in found:
        missed = [clause for clause in must if not finds(clause, WORLD[number])]
        assert len(missed) <= 1
        assert all(finds(clause, WORLD[number]) for clause in query["bool"].get("filter", []))
        assert not any(finds(clause, WORLD[number]) for clause in query["bool"].get("must_not", []))


@settings(max_examples=300)
@given(query=queries, text=st.sampled_from([None, "lift", "stall"]))
def test_matching_own_finds_what_the_body_found(query, text) -> None:
    parts = anatomy({"query": query}, FIELDS, text, extend=False)
    if parts.unchanged is not None:
        return
    new = augmented_body({"query": query}, parts, SPARSE, lexical_weight=0.3, matching=Matching.OWN)
    assert answer(new["query"]) == answer(query)


@pytest.mark.parametrize("restriction", [NUMBER, TENANT, {"match": {"text": 7}}, {"match": {"tags": True}}])
def test_a_match_that_is_no_search_for_the_text_restricts(restriction) -> None:
    for text in (None, "lift"):
        parts = anatomy({"query": {"bool": {"must": [TEXT, restriction]}}}, FIELDS, text)
        assert (parts.text, parts.scoring, parts.must) == ("lift", TEXT, (restriction,))
        assert parts.restrictions == (restriction,)
    assert anatomy({"query": restriction}, FIELDS).unchanged == Unchanged.NO_TEXT_QUERY


@pytest.mark.parametrize(
    "content",
    [
        {"must": [TEXT, TITLE]},
        {"must": [TEXT, TEXT]},
        {"must": [TEXT], "should": [TITLE], "minimum_should_match": 1},
        {"should": [TEXT, TITLE], "minimum_should_match": 2},
        {"should": [TEXT, TITLE], "minimum_should_match": "75%"},
        {"must": [TEXT, {"query_string": {"query": "lift", "fields": ["title"]}}]},
        {"must": [TEXT], "should": [{"query_string": {"query": "lift"}}]},
    ],
)
def test_two_searches_that_must_both_match_can_not_be_told_apart(content) -> None:
    """What a user types may equal what restricts: then neither is widened."""
    for text in (None, "lift"):
        assert anatomy({"query": {"bool": content}}, FIELDS, text).unchanged == Unchanged.SEVERAL_TEXTS
    assert anatomy({"query": {"bool": content}}, FIELDS, "lift", extend=False).text == "lift"


@pytest.mark.parametrize(
    ("expression", "widens"),
    [
        ("lift AND wing", True),
        ('+lift "swept wing"~2 (a OR b) wi*', True),
        ('"a: b" lift\\-off 12\\:30 take-off', True),
        ("tenant:1 lift", False),
        ("_exists_:x", False),
        ("lift -drag", False),
        ("-drag", False),
        ("lift (!drag)", False),
        ("lift AND NOT drag", False),
    ],
)
def test_an_expression_is_widened_where_it_only_searches(expression, widens) -> None:
    query = {"bool": {"must": [{"query_string": {"query": expression}}, TENANT]}}
    parts = anatomy({"query": query}, FIELDS, "lift")
    assert parts.unchanged == (None if widens else Unchanged.QUERY_SYNTAX)
    assert parts.must == ((TENANT,) if widens else ())
    assert anatomy({"query": query}, FIELDS).unchanged == Unchanged.QUERY_SYNTAX
    assert anatomy({"query": query}, FIELDS, "lift", extend=False).text == "lift"


def test_a_colon_names_no_field_in_simple_syntax() -> None:
    clause = {"simple_query_string": {"query": "12:30 lift", "fields": ["text"]}}
    assert searched(clause, FIELDS) == Searched(expressions=frozenset({"12:30 lift"}))
    assert anatomy({"query": clause}, FIELDS, "half past twelve").text == "half past twelve"


@pytest.mark.parametrize(
    ("named", "is_text"),
    [
        ({}, True),
        ({"fields": []}, True),
        ({"fields": ["title^3", "sku"]}, True),
        ({"fields": ["t*"]}, True),
        ({"fields": "text"}, True),
        ({"fields": ["sku", "brand.*"]}, False),
    ],
)
@pytest.mark.parametrize("kind", ["multi_match", "combined_fields", "simple_query_string"])
def test_a_clause_in_several_fields_is_text_if_one_of_them_is(kind, named, is_text) -> None:
    assert (searched({kind: {"query": "lift", **named}}, FIELDS) is not None) == is_text


@pytest.mark.parametrize(
    "clause",
    [
        None,
        "lift",
        {},
        {"match": "lift"},
        {"match": {"title": "lift", "text": "lift"}},
        {"match": {"text": {"query": 1}}},
        {"match": {"text": None}},
        {"match": {"text": ["lift"]}},
        {"multi_match": {"query": 4}},
        {"dis_max": {"queries": []}},
        {"dis_max": {"queries": [TEXT, TENANT]}},
        {"match": {"text": "lift"}, "boost": 2},
        {"term": {"text": "lift"}},
        {"bool": {"must": [TEXT]}},
    ],
)
def test_clauses_that_search_for_no_text(clause) -> None:
    assert searched(clause, FIELDS) is None


def test_boosts_apply_to_whatever_was_found() -> None:
    boost = {"term": {"number": {"value": 1, "boost": 100}}}
    query = {"bool": {"must": [TEXT, NUMBER], "should": [boost, TITLE], "boost": 2.0}}
    parts = anatomy({"query": query}, FIELDS)
    both = {"bool": {"must": [TEXT], "should": [TITLE]}}
    assert (parts.place, parts.scoring, parts.should) == (Place.MUST, both, (boost,))
    new = augmented_body({"query": query}, parts, SPARSE, lexical_weight=1.0)
    block = {"bool": {"should": [both, SPARSE], "minimum_should_match": 1}}
    assert new["query"] == {"bool": {"must": [block, NUMBER], "should": [boost], "boost": 2.0}}


def test_boosts_beside_an_optional_text() -> None:
    boost = {"term": {"number": 1}}
    for more, minimum in (({}, 1), ({"filter": [NUMBER]}, 0), ({"filter": [NUMBER], "minimum_should_match": "1"}, 1)):
        query = {"bool": {"should": [boost, TEXT], **more}}
        parts = anatomy({"query": query}, FIELDS)
        new = augmented_body({"query": query}, parts, SPARSE, lexical_weight=1.0)["query"]["bool"]
        assert (new["should"], new["minimum_should_match"]) == ([TEXT, SPARSE, boost], minimum)


def test_a_counted_text_stays_one_clause() -> None:
    query = {"bool": {"should": [TEXT, NUMBER], "minimum_should_match": 2}}
    parts = anatomy({"query": query}, FIELDS)
    new = augmented_body({"query": query}, parts, SPARSE, lexical_weight=1.0)["query"]["bool"]
    block = {"bool": {"should": [TEXT, SPARSE], "minimum_should_match": 1}}
    assert new == {"should": [block, NUMBER], "minimum_should_match": 2}
    (counted,) = parts.restrictions
    assert answer(counted) == answer(NUMBER)


def test_nothing_is_known_of_a_body_that_was_left_alone() -> None:
    assert Anatomy(unchanged=Unchanged.NO_TEXT_QUERY).restrictions == ()
