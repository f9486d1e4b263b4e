"""Answers to searches, and what a body's `_source` becomes."""

from __future__ import annotations

import pytest

from sidecar.engine import Hit, SearchResponse
from sidecar.engine.mappings import excluding


def test_a_usual_answer() -> None:
    body = {
        "took": 3,
        "timed_out": False,
        "_shards": {"total": 2, "failed": 1},
        "hits": {
            "total": {"value": 2, "relation": "eq"},
            "hits": [
                {"_index": "i", "_id": "1", "_score": 2.5, "_source": {"text": "a"}},
                {"_index": "i", "_id": "2", "_score": None, "sort": [7]},
            ],
        },
    }
    found = SearchResponse.parse(body)
    assert found.hits == (Hit("1", 2.5, {"text": "a"}, "i"), Hit("2", 0.0, {}, "i"))
    assert (found.took_ms, found.total, found.failed_shards, found.timed_out) == (3, 2, 1, False)
    assert found.raw is body


def test_a_total_that_was_not_counted_is_none() -> None:
    assert SearchResponse.parse({"hits": {"hits": []}}).total is None
    assert SearchResponse.parse({"hits": {"total": 7, "hits": []}}).total == 7


@pytest.mark.parametrize("body", [{}, {"hits": None}, {"hits": {"hits": [None]}}, {"took": "long"}])
def test_an_odd_answer_is_no_crash(body: dict[str, object]) -> None:
    assert SearchResponse.parse(body).took_ms == 0


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (None, {"excludes": ["splade"]}),
        (True, {"excludes": ["splade"]}),
        (False, False),
        ("title", {"includes": ["title"], "excludes": ["splade"]}),
        (["a", "b"], {"includes": ["a", "b"], "excludes": ["splade"]}),
        ({"includes": ["a"]}, {"includes": ["a"], "excludes": ["splade"]}),
        ({"excludes": ["b"]}, {"excludes": ["b", "splade"]}),
        ({"exclude": "b"}, {"excludes": ["b", "splade"]}),
        ({}, {"excludes": ["splade"]}),
        ("splade", False),
        (["a", "splade"], {"includes": ["a"], "excludes": ["splade"]}),
        ({"include": ["splade"], "excludes": ["splade"]}, False),
    ],
)
def test_the_vector_is_taken_out_of_any_source(asked: object, sent: object) -> None:
    assert excluding(asked, ("splade",)) == sent
