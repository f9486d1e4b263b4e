"""Where a body asks for `_source`, and what of it is left out."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.search.hiding import without_fields

HIDDEN = ("splade", "splade_hash")
LEFT_OUT = {"excludes": ["splade", "splade_hash"]}
ALL_BUT = {"includes": ["*"], **LEFT_OUT}


def test_top_hits_at_every_depth() -> None:
    body = {
        "aggs": {
            "best": {"top_hits": {"size": 1, "_source": ["*"]}},
            "kinds": {
                "terms": {"field": "kind"},
                "aggregations": {"inner": {"filter": {}, "aggs": {"few": {"top_hits": {}}}}, "none": None},
            },
            # Named as what it is not.
            "top_hits": {"avg": {"field": "price"}},
        },
        "aggregations": {"bare": {"top_hits": {"_source": False}}},
    }
    assert without_fields(body, HIDDEN) == {
        "_source": LEFT_OUT,
        "aggs": {
            "best": {"top_hits": {"size": 1, "_source": ALL_BUT}},
            "kinds": {
                "terms": {"field": "kind"},
                "aggregations": {
                    "inner": {"filter": {}, "aggs": {"few": {"top_hits": {"_source": LEFT_OUT}}}},
                    "none": None,
                },
            },
            "top_hits": {"avg": {"field": "price"}},
        },
        "aggregations": {"bare": {"top_hits": {"_source": False}}},
    }


@pytest.mark.parametrize("several", [False, True])
def test_inner_hits_of_collapse(several) -> None:
    one, hidden = {"name": "few", "_source": ["title"]}, {"name": "few", "_source": {"includes": ["title"], **LEFT_OUT}}
    body = {"collapse": {"field": "kind", "inner_hits": [one, {}] if several else one}}
    expected = [hidden, {"_source": LEFT_OUT}] if several else hidden
    assert without_fields(body, HIDDEN)["collapse"] == {"field": "kind", "inner_hits": expected}
    assert without_fields({"collapse": {"field": "kind"}}, HIDDEN)["collapse"] == {"field": "kind"}


@pytest.mark.parametrize("kind", ["nested", "has_child", "has_parent"])
def test_inner_hits_of_queries(kind) -> None:
    deep = {kind: {"path": "parts.more", "query": {"match_all": {}}, "inner_hits": {"_source": True}}}
    clause = {kind: {"path": "parts", "query": {"bool": {"must": [deep]}}, "inner_hits": {}}}
    for key in ("query", "post_filter"):
        new = without_fields({key: {"bool": {"should": [clause, {"term": {"inner_hits": "x"}}]}}}, HIDDEN)
        first, second = new[key]["bool"]["should"]
        assert first[kind]["inner_hits"] == {"_source": LEFT_OUT}
        assert first[kind]["query"]["bool"]["must"][0][kind]["inner_hits"] == {"_source": LEFT_OUT}
        assert second == {"term": {"inner_hits": "x"}}


def test_passages_show_their_texts() -> None:
    clause = {"nested": {"path": "splade", "query": {"match_all": {}}, "inner_hits": {"_source": ["splade.text"]}}}
    new = without_fields({"query": clause}, HIDDEN)
    assert new["query"]["nested"]["inner_hits"] == {
        "_source": {"includes": ["splade.text"], "excludes": ["splade.vector", "splade_hash"]}
    }


@pytest.mark.parametrize("broken", [None, 1, "text", [], {"a": 1}, [{"a": None}]])
@pytest.mark.parametrize("key", ["aggs", "aggregations", "query", "post_filter", "collapse"])
def test_what_has_no_known_shape_is_sent_as_it_is(key, broken) -> None:
    assert without_fields({key: broken}, HIDDEN) == {key: broken, "_source": LEFT_OUT}
    inner = {"nested": {"query": {}, "inner_hits": broken}}
    if not isinstance(broken, dict | list):
        assert without_fields({"query": inner}, HIDDEN)["query"] == inner
        assert without_fields({"aggs": {"a": {"top_hits": broken}}}, HIDDEN)["aggs"] == {"a": {"top_hits": broken}}


def test_nothing_is_hidden_in_an_index_of_somebody_else() -> None:
    body = {"query": {"match_all": {}}}
    assert without_fields(body, ()) is body


@pytest.mark.parametrize("stored", ["_none_", ["price"], "price", []])
def test_what_asks_for_stored_fields_is_answered_without_a_source(stored) -> None:
    part = {"stored_fields": stored}
    assert without_fields(part, HIDDEN) == part
    assert without_fields({"aggs": {"a": {"top_hits": part}}}, HIDDEN)["aggs"] == {"a": {"top_hits": part}}


@pytest.mark.parametrize(
    "more", [{"stored_fields": ["price", "_source"]}, {"stored_fields": ["price"], "_source": True}]
)
def test_what_asks_for_both_is_answered_without_vectors(more) -> None:
    assert without_fields(more, HIDDEN) == {**more, "_source": LEFT_OUT}


keys = st.sampled_from(
    ["query", "aggs", "post_filter", "collapse", "inner_hits", "top_hits", "_source", "nested", "bool", "must", "a"]
)
bodies = st.dictionaries(
    keys,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.text(max_size=2)),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=4)),
        max_leaves=12,
    ),
)


@given(bodies)
def test_the_body_itself_stays_as_it_is(body) -> None:
    before = copy.deepcopy(body)
    new = without_fields(body, HIDDEN)
    assert body == before
    assert {key for key in new if key != "_source"} == {key for key in body if key != "_source"}
    assert without_fields(new, HIDDEN) == new, "what is sent is left as it is"
