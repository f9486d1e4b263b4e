"""Turning an application's own `_search` body into the augmented one. Never changes its argument."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue
from sidecar.search.bodies import Anatomy, Place

__all__ = ["Augmented", "Matching", "augmented_body"]


class Matching(StrEnum):
    """Which documents an augmented body may find.

    `extend`: those the application's text finds, and those the sparse query finds, within the application's filters;
    aggregations count both. `own`: exactly the documents the body found before; only their order changes.
    """

    EXTEND = "extend"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Augmented:
    """A body ready to be sent. `unchanged` names the reason if its query is the one that came in.

    Either way its answers show neither vectors nor hashes.

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
) -> JsonObject:
    """Return a copy of `body` whose query also scores by `sparse`, a ready clause that carries its own weight.

    The scores of both add up. `lexical_weight` 0: the text still finds and highlights, and does not score (a profile
    without lexical retriever). All that is not the search for the text restricts and scores as before, whichever of the
    two found a document; aggregations, highlighting, sorting, paging and everything else stay.
    """
    if parts.scoring is None:
        raise ValueError("This body can't be augmented: its anatomy says why.")
    new: dict[str, JsonValue] = {key: copy.deepcopy(value) for key, value in body.items()}
    if matching is Matching.OWN:
        own: JsonObject = body["query"]  # type: ignore[assignment]  # its anatomy says that it is an object
        new["query"] = {"bool": {"must": [_weighted(own, lexical_weight)], "should": [sparse]}}
    else:
        new["query"] = {"bool": _extended(parts, [_weighted(parts.scoring, lexical_weight), sparse])}
    return new


def _extended(parts: Anatomy, either: list[JsonValue]) -> JsonObject:
    """Return the `bool` in which the text search may be replaced by any of `either`."""
    must, should = copy.deepcopy(list(parts.must)), copy.deepcopy(list(parts.should))
    minimum = parts.minimum
    block: JsonObject = {"bool": {"should": either, "minimum_should_match": 1}}
    if parts.place is Place.MUST and (should or parts.counted):
        must.insert(0, block)
    elif parts.counted:
        should.insert(0, block)
    else:
        # A two-phase processor of the cluster's looks for sparse queries in `should`, and nowhere below a `must`.
        should = [*either, *should]
        minimum = 1 if parts.required or parts.place is Place.MUST else 0
    whole: dict[str, JsonValue] = {}
    for key, clauses in (
        ("must", must),
        ("should", should),
        ("filter", copy.deepcopy(list(parts.filter))),
        ("must_not", copy.deepcopy(list(parts.must_not))),
    ):
        if clauses:
            whole[key] = clauses
    for key, value in (("minimum_should_match", minimum), ("boost", parts.boost), ("_name", parts.name)):
        if value is not None:
            whole[key] = value
    return whole


def _weighted(query: JsonObject, weight: float) -> JsonObject:
    if weight == 1.0:
        return copy.deepcopy(query)
    return {"bool": {"must": [copy.deepcopy(query)], "boost": weight}}
