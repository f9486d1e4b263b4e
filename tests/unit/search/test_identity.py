"""Which document is meant, and the query for just those."""

from __future__ import annotations

import pytest

from sidecar.domain import Candidate
from sidecar.engine import Hit
from sidecar.search import SearchHit
from sidecar.search.identity import DocumentKey, key_of, only, parts_of, raw_key_of


@pytest.mark.parametrize(("routing", "part"), [(None, ""), ("ann", "ann")])
def test_whatever_has_all_parts_has_a_key(routing: str | None, part: str) -> None:
    key = ("1", "a", part)
    assert key_of(Candidate("1", index="a", routing=routing)) == key
    assert key_of(Hit("1", 2.0, {}, "a", routing)) == key
    assert key_of(SearchHit("1", 1, {}, "a", routing=routing)) == key
    assert raw_key_of({"_id": "1", "_index": "a", "_score": 2.0, "_routing": routing}) == key
    assert raw_key_of({"_id": "1", "_index": "a"}) == ("1", "a", "")
    assert key_of(Candidate("1", index="b", routing=routing)) != key
    assert key_of(Candidate("1", index="a", routing="bob")) != key


def test_each_index_and_each_routing_is_asked_for_its_own_ids() -> None:
    query = only([("1", "a", ""), ("1", "b", ""), ("2", "a", ""), ("1", "a", "ann"), ("3", "a", "ann")])
    unrouted = [{"exists": {"field": "_routing"}}]
    assert query == {
        "bool": {
            "should": [
                {
                    "bool": {
                        "filter": [{"ids": {"values": ["1", "2"]}}, {"term": {"_index": "a"}}],
                        "must_not": unrouted,
                    }
                },
                {"bool": {"filter": [{"ids": {"values": ["1"]}}, {"term": {"_index": "b"}}], "must_not": unrouted}},
                {
                    "bool": {
                        "filter": [
                            {"ids": {"values": ["1", "3"]}},
                            {"term": {"_index": "a"}},
                            {"term": {"_routing": "ann"}},
                        ]
                    }
                },
            ],
            "minimum_should_match": 1,
        }
    }


@pytest.mark.parametrize(("routings", "clauses", "expected"), [(333, 0, 1), (334, 0, 2), (4, 994, 2), (2, 5_000, 2)])
def test_there_are_no_more_routings_in_a_part_than_a_query_has_room_for(routings, clauses, expected) -> None:
    keys: list[DocumentKey] = [(f"{name}", "a", f"r{routing}") for name in range(3) for routing in range(routings)]
    parts = parts_of(keys, clauses)
    assert len(parts) == expected
    assert sorted(key for part in parts for key in part) == sorted(keys)


def test_a_part_has_no_more_routings_than_it_may() -> None:
    keys: list[DocumentKey] = [("1", "a", f"r{routing}") for routing in range(40)]
    assert [len(part) for part in parts_of(keys, routings=16)] == [16, 16, 8]


def test_ids_take_no_room() -> None:
    keys: list[DocumentKey] = [(str(name), "a", "") for name in range(10_000)]
    assert parts_of(keys) == [keys]
    assert parts_of([]) == []
