"""Which document is meant, and the query for just those."""

from __future__ import annotations

from sidecar.domain import Candidate
from sidecar.engine import Hit
from sidecar.search import SearchHit
from sidecar.search.identity import key_of, only, raw_key_of


def test_whatever_has_both_parts_has_a_key() -> None:
    key = ("1", "a")
    assert key_of(Candidate("1", index="a")) == key
    assert key_of(Hit("1", 2.0, {}, "a")) == key
    assert key_of(SearchHit("1", 1, {}, "a")) == key
    assert raw_key_of({"_id": "1", "_index": "a", "_score": 2.0}) == key
    assert key_of(Candidate("1", index="b")) != key


def test_each_index_is_asked_for_its_own_ids() -> None:
    query = only([("1", "a"), ("1", "b"), ("2", "a")])
    assert query == {
        "bool": {
            "should": [
                {"bool": {"filter": [{"ids": {"values": ["1", "2"]}}, {"term": {"_index": "a"}}]}},
                {"bool": {"filter": [{"ids": {"values": ["1"]}}, {"term": {"_index": "b"}}]}},
            ],
            "minimum_should_match": 1,
        }
    }
