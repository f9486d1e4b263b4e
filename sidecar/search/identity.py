"""Which document is meant. An id alone does not say it: every index has its own, and so has every routing in one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from sidecar.domain import JsonObject, JsonValue

__all__ = ["DocumentKey", "key_of", "only", "parts_of", "raw_key_of"]


DocumentKey: TypeAlias = tuple[str, str, str]
"""A document's id, the concrete index that it lies in, and the routing that it was written with (empty: with none).

A plain tuple: thousands of them are made in one search.
"""

MAX_CLAUSES = 1_000
"""Clauses that a query may have, and a few more: clusters refuse one of more than 1,024."""

CLAUSES_EACH = 3
"""Of one routing in one index."""


class _Placed(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def index(self) -> str: ...

    @property
    def routing(self) -> str | None: ...


def key_of(document: _Placed) -> DocumentKey:
    """Return the key of a hit, a candidate, or whatever else knows all parts."""
    return document.id, document.index, document.routing or ""


def raw_key_of(hit: JsonObject) -> DocumentKey:
    """Return the key of a hit as the cluster told it."""
    return str(hit.get("_id")), str(hit.get("_index")), str(hit.get("_routing") or "")


def only(documents: Iterable[DocumentKey]) -> JsonObject:
    """Return the query that just these documents match.

    It is asked of the name that was searched, and not of the indices behind it: a user may be allowed no more than
    the alias, and the alias may have a filter. It grows with the routings: see `parts_of`.
    """
    clauses: list[JsonValue] = []
    for (index, routing), keys in _by_place(documents).items():
        filters: list[JsonValue] = [{"ids": {"values": [name for name, _, _ in keys]}}, {"term": {"_index": index}}]
        if routing:
            clauses.append({"bool": {"filter": [*filters, {"term": {"_routing": routing}}]}})
        else:
            # `ids` finds documents with a routing of their own, too.
            clauses.append({"bool": {"filter": filters, "must_not": [{"exists": {"field": "_routing"}}]}})
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def parts_of(
    documents: Iterable[DocumentKey], clauses: int = 0, routings: int = MAX_CLAUSES
) -> list[list[DocumentKey]]:
    """Return `documents` in as few parts as `only` can name beside a query of so many `clauses`; mostly one.

    No part has more than so many `routings`.
    """
    room = max(1, min(routings, (MAX_CLAUSES - clauses) // CLAUSES_EACH))
    placed = list(_by_place(documents).values())
    return [[key for keys in placed[start : start + room] for key in keys] for start in range(0, len(placed), room)]


def _by_place(documents: Iterable[DocumentKey]) -> dict[tuple[str, str], list[DocumentKey]]:
    """Return the keys by index and routing."""
    placed: dict[tuple[str, str], list[DocumentKey]] = {}
    for key in documents:
        placed.setdefault(key[1:], []).append(key)
    return placed
