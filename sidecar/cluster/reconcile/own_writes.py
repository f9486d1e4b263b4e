"""Which versions of documents a run has written itself: what they hold needs no comparing.

A write that is conditional on the version that was encoded leaves that version's text beside its vector. A document
whose sequence number is that of such a write has not been touched since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.errors import EngineRejected

__all__ = ["OwnWrites", "Shards", "read_shards"]

MOST_RUNS = 10_000
"""Unbroken runs of numbers that are remembered per index; beyond it the shortest half is forgotten."""

MOST_PENDING = 100_000
"""Numbers that not every shard has confirmed yet, per index; beyond it the oldest are forgotten."""

MOST_RANGES = 64
"""Ranges that a query leaves out per index: the longest."""


@dataclass(frozen=True, slots=True)
class Shards:
    """One index as it was created: `uuid` tells it from a later one of the same name; `primaries` never changes."""

    uuid: str
    primaries: int


async def read_shards(engine: Engine, index: str) -> Mapping[str, Shards]:
    """Return the concrete indices behind a name; none where this user may not read settings."""
    try:
        answer = await engine.read(
            "GET",
            path_of(index, "_settings"),
            {"filter_path": "*.settings.index.uuid,*.settings.index.number_of_shards"},
        )
    except EngineRejected:
        return {}
    found: dict[str, Shards] = {}
    for name, entry in answer.items():
        settings = as_object(as_object(as_object(entry).get("settings")).get("index"))
        uuid, primaries = settings.get("uuid"), str(settings.get("number_of_shards", ""))
        if isinstance(uuid, str) and primaries.isdecimal():
            found[name] = Shards(uuid, int(primaries))
    return found


class OwnWrites:
    """Sequence numbers of confirmed writes, in bounded memory; what is forgotten is compared.

    Every shard counts for itself, and an answer does not name the shard: of an index with n shards, a number is this
    run's on all of them once n writes were confirmed with it.
    """

    def __init__(self) -> None:
        self._shards: Mapping[str, Shards] = {}
        self._numbers: dict[str, _Numbers] = {}

    def begin(self, shards: Mapping[str, Shards]) -> None:
        """Take the indices that are written next; forget those that are others of the same name."""
        kept = {name for name, one in shards.items() if self._shards.get(name) == one}
        self._numbers = {
            name: self._numbers[name] if name in kept else _Numbers(one.primaries) for name, one in shards.items()
        }
        self._shards = dict(shards)

    def add(self, index: str, number: int) -> None:
        """Remember the sequence number of a confirmed write."""
        if (numbers := self._numbers.get(index)) is not None:
            numbers.add(number)

    def left_out(self, query: JsonObject, now: Mapping[str, Shards]) -> JsonObject:
        """Return `query` without documents that are as this run wrote them; `now` are the indices that there are."""
        own: list[JsonValue] = []
        for name, one in now.items():
            if self._shards.get(name) != one:
                continue
            ranges: list[JsonValue] = [
                {"range": {"_seq_no": {"gte": first, "lte": last}}} for first, last in self._numbers[name].longest()
            ]
            if ranges:
                of_index: JsonObject = {"term": {"_index": name}}
                own.append({"bool": {"filter": [of_index], "should": ranges, "minimum_should_match": 1}})
        return {"bool": {"filter": [query], "must_not": own}} if own else query


class _Numbers:
    """Numbers that `times` writes were confirmed with, as unbroken runs."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._pending: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._first: dict[int, int] = {}

    def add(self, number: int) -> None:
        count = self._pending.pop(number, 0) + 1
        if count < self._times:
            self._pending[number] = count
            if len(self._pending) > MOST_PENDING:
                del self._pending[next(iter(self._pending))]
            return
        first, last = self._first.pop(number - 1, number), self._last.pop(number + 1, number)
        self._last[first], self._first[last] = last, first
        if len(self._last) > MOST_RUNS:
            self._keep(MOST_RUNS // 2)

    def longest(self) -> list[tuple[int, int]]:
        """The longest runs, both ends included, in ascending order."""
        return sorted(sorted(self._last.items(), key=_length, reverse=True)[:MOST_RANGES])

    def _keep(self, count: int) -> None:
        self._last = dict(sorted(self._last.items(), key=_length, reverse=True)[:count])
        self._first = {last: first for first, last in self._last.items()}


def _length(run: tuple[int, int]) -> int:
    return run[1] - run[0]
