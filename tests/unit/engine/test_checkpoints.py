"""What was written since the last look."""

from __future__ import annotations

from sidecar.domain import JsonObject
from sidecar.engine import Checkpoints


def copy(primary: bool, checkpoint: int) -> JsonObject:
    return {"routing": {"primary": primary}, "seq_no": {"global_checkpoint": checkpoint}}


def test_the_least_of_the_primaries_counts() -> None:
    shards = {"0": [copy(True, 30), copy(False, 5)], "1": [copy(False, 2), copy(True, 20)]}
    answer = {"indices": {"shop": {"uuid": "u1", "shards": shards}, "bare": {"uuid": "u2", "shards": {}}}}
    assert Checkpoints.parse(answer) == Checkpoints({("shop", "u1"): 20})
    assert Checkpoints.parse({}) == Checkpoints({})


def test_an_index_that_is_new_is_read_as_a_whole() -> None:
    before = Checkpoints({("shop", "u1"): 20, ("gone", "u2"): 3})
    now = Checkpoints({("shop", "u1"): 25, ("new", "u3"): 7})
    since = {"range": {"_seq_no": {"gt": 20}}}
    assert before.later(now) == {
        "bool": {
            "should": [
                {"bool": {"filter": [{"term": {"_index": "shop"}}, since]}},
                {"bool": {"filter": [{"term": {"_index": "new"}}]}},
            ],
            "minimum_should_match": 1,
        }
    }


def test_an_index_made_anew_under_its_name_is_new() -> None:
    again = Checkpoints({("shop", "u1"): 20}).later(Checkpoints({("shop", "u9"): 1}))
    assert "range" not in str(again)


def test_nothing_known_is_everything() -> None:
    assert Checkpoints({}).later(Checkpoints({})) == {"match_all": {}}
