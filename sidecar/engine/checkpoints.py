"""Up to where every copy of an index agrees: what was written later can be asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sidecar.domain import JsonObject, JsonValue, as_object

__all__ = ["CHECKPOINT_FILTER", "Checkpoints"]

CHECKPOINT_FILTER = "indices.*.uuid,indices.*.shards.*.routing.primary,indices.*.shards.*.seq_no.global_checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The least global checkpoint of the primary shards of each index, by the index's name and uuid.

    What has a sequence number up to it is on every copy and stays so, whichever becomes the primary.
    """

    least: Mapping[tuple[str, str], int]

    @classmethod
    def parse(cls, answer: JsonObject) -> Checkpoints:
        """Read an answer of `_stats` at the level of shards."""
        least: dict[tuple[str, str], int] = {}
        for name, index in as_object(answer.get("indices")).items():
            shards = [copy for copies in as_object(as_object(index).get("shards")).values() for copy in _list(copies)]
            found = [
                number
                for copy in shards
                if as_object(as_object(copy).get("routing")).get("primary") is True
                and isinstance(number := as_object(as_object(copy).get("seq_no")).get("global_checkpoint"), int)
            ]
            if found:
                least[(name, str(as_object(index).get("uuid", "")))] = min(found)
        return cls(least)

    def only(self, indices: Collection[str]) -> Checkpoints:
        """Return those of the indices that are named."""
        return Checkpoints({key: number for key, number in self.least.items() if key[0] in indices})

    def later(self, now: Checkpoints) -> JsonObject:
        """Match what was written after these, given the indices that there are `now`; all of an index that is new."""
        parts: list[JsonValue] = []
        for name, uuid in now.least:
            of_index: JsonObject = {"term": {"_index": name}}
            before = self.least.get((name, uuid))
            since = [] if before is None else [{"range": {"_seq_no": {"gt": before}}}]
            parts.append({"bool": {"filter": [of_index, *since]}})
        return {"bool": {"should": parts, "minimum_should_match": 1}} if parts else {"match_all": {}}


def _list(value: JsonValue) -> list[JsonValue]:
    return list(value) if isinstance(value, list) else []
