"""What a run has written itself is left out of the comparison, and nothing else is."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.reconcile import own_writes
from sidecar.cluster.reconcile.own_writes import OwnWrites, Shards, read_shards
from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.errors import EngineRejected, EngineUnavailable

QUERY: JsonObject = {"match_all": {}}


def began(primaries: int = 1) -> OwnWrites:
    own = OwnWrites()
    own.begin({"shop": Shards("u1", primaries)})
    return own


def ranges(own: OwnWrites, primaries: int = 1) -> list[tuple[int, int]]:
    """The ranges that are left out of the one index."""
    query: Any = own.left_out(QUERY, {"shop": Shards("u1", primaries)})
    if query == QUERY:
        return []
    (of_index,) = query["bool"]["must_not"]
    assert query["bool"]["filter"] == [QUERY]
    assert of_index["bool"]["filter"] == [{"term": {"_index": "shop"}}]
    assert of_index["bool"]["minimum_should_match"] == 1
    found = [one["range"]["_seq_no"] for one in of_index["bool"]["should"]]
    return [(one["gte"], one["lte"]) for one in found]


def test_nothing_written_leaves_the_query_as_it_is() -> None:
    assert began().left_out(QUERY, {"shop": Shards("u1", 1)}) is QUERY


def test_numbers_become_ranges_whatever_their_order() -> None:
    own = began()
    for number in (7, 5, 10, 6, 11, 3):
        own.add("shop", number)
    assert ranges(own) == [(3, 3), (5, 7), (10, 11)]


@given(
    st.lists(st.lists(st.sampled_from(["own", "other", "unanswered"]), max_size=40), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_number_is_left_out_where_every_shard_has_it_from_this_run(shards: list[list[str]], random: Any) -> None:
    own = began(len(shards))
    confirmed = [number for shard in shards for number, writer in enumerate(shard) if writer == "own"]
    random.shuffle(confirmed)
    for number in confirmed:
        own.add("shop", number)
    found = [number for first, last in ranges(own, len(shards)) for number in range(first, last + 1)]
    assert found == sorted(number for number, times in Counter(confirmed).items() if times == len(shards))


def test_an_index_that_was_made_anew_is_compared_whole() -> None:
    own = began()
    own.add("shop", 4)
    assert own.left_out(QUERY, {"shop": Shards("u2", 1)}) is QUERY
    own.begin({"shop": Shards("u2", 1)})
    assert own.left_out(QUERY, {"shop": Shards("u2", 1)}) is QUERY
    own.add("shop", 1)
    assert own.left_out(QUERY, {"shop": Shards("u2", 1)}) is not QUERY


def test_beginning_again_remembers_what_was_written_before() -> None:
    own = began()
    own.add("shop", 4)
    own.begin({"shop": Shards("u1", 1), "other": Shards("u9", 1)})
    assert ranges(own) == [(4, 4)]


def test_writes_to_an_index_that_was_not_there_at_the_beginning_are_not_remembered() -> None:
    own = began()
    own.add("unknown", 4)
    assert own.left_out(QUERY, {"unknown": Shards("u3", 1)}) is QUERY


def test_each_index_behind_an_alias_has_its_own_ranges() -> None:
    own = OwnWrites()
    both = {"one": Shards("u1", 1), "two": Shards("u2", 1)}
    own.begin(both)
    own.add("one", 1)
    own.add("two", 8)
    query: Any = own.left_out(QUERY, both)
    found = {part["bool"]["filter"][0]["term"]["_index"]: part["bool"]["should"] for part in query["bool"]["must_not"]}
    assert found == {
        "one": [{"range": {"_seq_no": {"gte": 1, "lte": 1}}}],
        "two": [{"range": {"_seq_no": {"gte": 8, "lte": 8}}}],
    }


def test_a_query_holds_only_the_longest_ranges() -> None:
    own = began()
    for place in range(3 * own_writes.MOST_RANGES):
        for number in range(1_000 * place, 1_000 * place + 1 + place):
            own.add("shop", number)
    found = ranges(own)
    assert len(found) == own_writes.MOST_RANGES
    assert found[0][0] == 1_000 * 2 * own_writes.MOST_RANGES


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scattered numbers are forgotten, the long range among them is not; so are numbers that one shard alone has."""
    monkeypatch.setattr(own_writes, "MOST_RUNS", 50)
    monkeypatch.setattr(own_writes, "MOST_PENDING", 20)
    scattered = began()
    for number in range(1_000, 1_100):
        scattered.add("shop", number)
    for number in range(2_000, 2_400, 2):
        scattered.add("shop", number)
    assert (1_000, 1_099) in ranges(scattered)
    assert len(ranges(scattered)) <= 50
    scattered.add("shop", 1_100)
    assert (1_000, 1_100) in ranges(scattered)
    pending = began(2)
    for _ in range(2):
        for number in range(100):
            pending.add("shop", number)
    assert ranges(pending, 2) == []


class Answering:
    """Answers a request for settings, or fails."""

    def __init__(self, answer: JsonObject | Exception) -> None:
        self._answer = answer
        self.asked: list[str] = []

    async def read(self, method: str, path: str, parameters: dict[str, str]) -> JsonObject:
        self.asked.append(f"{method} {path}")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def asked(answer: JsonObject | Exception) -> Engine:
    return cast("Engine", Answering(answer))


async def test_shards_are_read_from_the_settings_of_every_index() -> None:
    settings: JsonObject = {
        "shop": {"settings": {"index": {"uuid": "u1", "number_of_shards": "3"}}},
        "odd": {"settings": {}},
    }
    assert await read_shards(asked(settings), "alias") == {"shop": Shards("u1", 3)}


async def test_who_may_not_read_settings_compares_everything() -> None:
    assert await read_shards(asked(EngineRejected("(403)")), "shop") == {}
    with pytest.raises(EngineUnavailable):
        await read_shards(asked(EngineUnavailable("away")), "shop")
