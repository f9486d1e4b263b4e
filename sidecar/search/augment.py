"""Turning an application's own `_search` body into the augmented one. Never changes its argument."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue
from sidecar.search.bodies import Anatomy

__all__ = ["Augmented", "Matching", "augmented_body", "without_fields"]


class Matching(StrEnum):
    """Which documents an augmented body may find.

    `extend`: those the application's text finds, and those the sparse query finds, within the application's filters;
    aggregations count both. `own`: exactly the documents the body found before; only their order changes.
    """

    EXTEND = "extend"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Augmented:
    """A body ready to be sent. `unchanged` names the reason if it is the one that came in.

    `degraded` and `degraded_stage` as in `SearchResult`; without its stage `feedback` a body is augmented all the same.
    """

    body: JsonObject
    unchanged: str | None = None
    degraded: str | None = None
    degraded_stage: str | None = None


def augmented_body(
    body: JsonObject,
    parts: Anatomy,
    sparse: JsonObject,
    *,
    lexical_weight: float,
    matching: Matching = Matching.EXTEND,
    hidden_fields: Sequence[str] = (),
) -> JsonObject:
    """Return a copy of `body` whose query also scores by `sparse`, a ready clause that carries its own weight.

    The scores of both add up. `lexical_weight` 0: the text still finds and highlights, and does not score (a profile
    without lexical retriever). Filters, `must_not`, and `must` clauses that are no text restrict as before;
    aggregations, highlighting, sorting, paging and everything else stay. `hidden_fields` are kept out of `_source`
    unless the body asks for them.
    """
    if parts.scoring is None:
        raise ValueError("This body can't be augmented: its anatomy says why.")
    new: dict[str, JsonValue] = {key: copy.deepcopy(value) for key, value in body.items()}
    if matching is Matching.OWN:
        own: JsonObject = body["query"]  # type: ignore[assignment]  # its anatomy says that it is an object
        new["query"] = {"bool": {"must": [_weighted(own, lexical_weight)], "should": [sparse]}}
    else:
        outer: dict[str, JsonValue] = {
            "should": [_weighted(parts.scoring, lexical_weight), sparse],
            "minimum_should_match": 1 if parts.required else 0,
        }
        for key, clauses in (("must", parts.must), ("filter", parts.filter), ("must_not", parts.must_not)):
            if clauses:
                outer[key] = copy.deepcopy(list(clauses))
        if parts.name is not None:
            outer["_name"] = parts.name
        new["query"] = {"bool": outer}
    if hidden_fields:
        new["_source"] = without_fields(new.get("_source"), hidden_fields)
    return new


def _weighted(query: JsonObject, weight: float) -> JsonObject:
    if weight == 1.0:
        return copy.deepcopy(query)
    return {"bool": {"must": [copy.deepcopy(query)], "boost": weight}}


def without_fields(source: JsonValue, hidden: Sequence[str]) -> JsonValue:
    """Return the `_source` clause that also leaves out `hidden`, where it would have brought them by accident."""
    if source is None or source is True:
        return {"excludes": list(hidden)}
    if isinstance(source, Mapping):
        includes = source.get("includes", source.get("include"))
        if includes:
            return source
        excludes = source.get("excludes", source.get("exclude")) or []
        known = [excludes] if isinstance(excludes, str) else list(excludes)  # type: ignore[arg-type]
        return {"excludes": [*known, *(name for name in hidden if name not in known)]}
    return source
