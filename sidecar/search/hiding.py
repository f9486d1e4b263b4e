"""Keeping fields out of every `_source` that a `_search` body asks for, not only its hits'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.mappings import showing
from sidecar.engine.passage_field import VECTOR

__all__ = ["without_fields"]

AGGREGATIONS = ("aggs", "aggregations")


def without_fields(body: JsonObject, hidden: Sequence[str]) -> JsonObject:
    """Return `body` with `hidden` left out of what its hits show, and its `top_hits`, and its inner hits.

    Whatever their `_source` says; `body` itself stays as it is. Inner hits of a nested field that is hidden itself (one
    of passages) show their texts and not their vectors.
    """
    if not hidden:
        return body
    shown = dict(showing(body, hidden))
    for key in AGGREGATIONS:
        if key in body:
            shown[key] = _of_aggregations(body[key], hidden)
    for key in ("query", "post_filter"):
        if key in body:
            shown[key] = _of_query(body[key], hidden)
    collapse = body.get("collapse")
    if isinstance(collapse, Mapping) and "inner_hits" in collapse:
        shown["collapse"] = {**collapse, "inner_hits": _of_inner_hits(collapse["inner_hits"], hidden)}
    return shown


def _of_aggregations(aggregations: JsonValue, hidden: Sequence[str]) -> JsonValue:
    if not isinstance(aggregations, Mapping):
        return aggregations
    return {name: _of_aggregation(aggregation, hidden) for name, aggregation in aggregations.items()}


def _of_aggregation(aggregation: JsonValue, hidden: Sequence[str]) -> JsonValue:
    if not isinstance(aggregation, Mapping):
        return aggregation
    shown = dict(aggregation)
    for key, value in aggregation.items():
        if key in AGGREGATIONS:
            shown[key] = _of_aggregations(value, hidden)
        elif key == "top_hits" and isinstance(value, Mapping):
            shown[key] = showing(value, hidden)
    return shown


def _of_query(query: JsonValue, hidden: Sequence[str]) -> JsonValue:
    """Inner hits stand beside a `query`, in `nested`, `has_child` and `has_parent`, at any depth."""
    if isinstance(query, Mapping):
        shown = {key: _of_query(value, hidden) for key, value in query.items()}
        if "inner_hits" in query and "query" in query:
            path = query.get("path")
            within = [f"{name}.{VECTOR}" if name == path else name for name in hidden]
            shown["inner_hits"] = _of_inner_hits(query["inner_hits"], within)
        return shown
    if isinstance(query, Sequence) and not isinstance(query, str):
        return [_of_query(part, hidden) for part in query]
    return query


def _of_inner_hits(inner_hits: JsonValue, hidden: Sequence[str]) -> JsonValue:
    if isinstance(inner_hits, Sequence) and not isinstance(inner_hits, str):
        return [_of_inner_hits(one, hidden) for one in inner_hits]
    return showing(inner_hits, hidden) if isinstance(inner_hits, Mapping) else inner_hits
