"""Which document is meant. Behind an alias, an id alone does not say it: every index has its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from sidecar.domain import JsonObject, JsonValue

__all__ = ["DocumentKey", "key_of", "only", "raw_key_of"]


DocumentKey: TypeAlias = tuple[str, str]
"""A document's id, and the concrete index that it lies in. A plain tuple: thousands of them are made in one search."""


class _Placed(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def index(self) -> str: ...


def key_of(document: _Placed) -> DocumentKey:
    """Return the key of a hit, a candidate, or whatever else knows both parts."""
    return document.id, document.index


def raw_key_of(hit: JsonObject) -> DocumentKey:
    """Return the key of a hit as the cluster told it."""
    return str(hit.get("_id")), str(hit.get("_index"))


def only(documents: Iterable[DocumentKey]) -> JsonObject:
    """Return the query that just these documents match.

    It is asked of the name that was searched, and not of the indices behind it: a user may be allowed no more than
    the alias, and the alias may have a filter. `ids` finds documents with a routing of their own, too.
    """
    ids: dict[str, list[JsonValue]] = {}
    for name, index in documents:
        ids.setdefault(index, []).append(name)
    clauses: list[JsonValue] = [
        {"bool": {"filter": [{"ids": {"values": names}}, {"term": {"_index": index}}]}} for index, names in ids.items()
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}
