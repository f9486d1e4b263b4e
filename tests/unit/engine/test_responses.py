"""Answers to searches, and what a body's `_source` becomes."""

from __future__ import annotations

import pytest

from sidecar.engine import Hit, SearchResponse
from sidecar.engine.mappings import excluding
from sidecar.engine.responses import shards_unread
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable


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
    assert (found.took_ms, found.total, found.shards_unread, found.timed_out) == (3, 2, 1, False)
    assert found.raw is body


@pytest.mark.parametrize(
    ("shards", "unread"),
    [
        ({"total": 5, "successful": 5, "skipped": 3, "failed": 0}, 0),
        ({"total": 5, "successful": 4, "skipped": 3, "failed": 1}, 1),
        ({"total": 5, "successful": 3, "skipped": 0, "failed": 0}, 2),
        ({"total": 5, "successful": 3, "skipped": 0, "failed": 1}, 2),
        ({"failed": 2}, 2),
        ({}, 0),
    ],
)
def test_shards_that_no_node_has_are_not_among_the_failed(shards: dict[str, int], unread: int) -> None:
    assert shards_unread({"_shards": shards}) == SearchResponse.parse({"_shards": shards}).shards_unread == unread


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


def one_hit(name: str) -> dict[str, object]:
    return {"took": 1, "status": 200, "hits": {"hits": [{"_index": "i", "_id": name, "_score": 1.0}]}}


def test_answers_to_several_searches_keep_their_places() -> None:
    found = SearchResponse.parse_each({"responses": [one_hit("a"), one_hit("b")]}, [{}, {}])
    assert [response.hits[0].id for response in found] == ["a", "b"]
    assert SearchResponse.parse_each({"responses": []}, []) == ()


@pytest.mark.parametrize("answer", [{}, {"responses": None}, {"responses": [one_hit("a")]}, {"responses": {"0": {}}}])
def test_another_number_of_answers_is_not_matched_up(answer: dict[str, object]) -> None:
    with pytest.raises(EngineRejected, match="another number of searches"):
        SearchResponse.parse_each(answer, [{}, {}])


@pytest.mark.parametrize(
    ("status", "raised"),
    [(429, EngineOverloaded), (503, EngineUnavailable), (400, EngineRejected), (None, EngineUnavailable)],
)
def test_the_first_search_that_failed_is_named_by_its_place(status: int | None, raised: type[EngineError]) -> None:
    cause = {"type": "parsing_exception", "reason": "unknown query [secretive]"}
    failed = {"error": {**cause, "root_cause": [cause]}, **({} if status is None else {"status": status})}
    bodies = [{}, {"query": {"secretive": {"text": "my own words"}}}, {}]
    with pytest.raises(raised) as caught:
        SearchResponse.parse_each({"responses": [one_hit("a"), failed, failed]}, bodies)
    assert caught.value.field == "bodies[1]"
    assert "my own words" not in caught.value.message


def test_what_was_asked_never_stands_in_the_message() -> None:
    """Clusters quote the request back: what comes from its values is taken out, the rest of the reason is kept."""
    cause = {"type": "query_shard_exception", "reason": "failed to parse [grandmother's maiden name] as a date"}
    failed = {"error": {**cause, "root_cause": [cause]}, "status": 400}
    body = {"query": {"range": {"born": {"gte": "grandmother's maiden name"}}}}
    with pytest.raises(EngineRejected) as caught:
        SearchResponse.parse_each({"responses": [failed]}, [body])
    assert "maiden" not in caught.value.message
    assert "query_shard_exception" in caught.value.message
