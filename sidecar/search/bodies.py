"""Reading an application's own `_search` body: what of it is text, what restricts, and whether it can be augmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue

__all__ = ["Anatomy", "Unchanged", "anatomy"]


class Unchanged(StrEnum):
    """Why a body is left as it is."""

    NO_TEXT_QUERY = "NO_TEXT_QUERY"
    """Nothing in it is full-text search: no query, `match_all`, only filters."""

    SEVERAL_TEXTS = "SEVERAL_TEXTS"
    """Different texts are searched for in different clauses: say which one is meant (`text=`)."""

    QUERY_SYNTAX = "QUERY_SYNTAX"
    """The only text is in query-string syntax: say what the user meant (`text=`)."""

    SORTED_BY_FIELD = "SORTED_BY_FIELD"
    """The order does not come from scores."""

    NO_HITS_WANTED = "NO_HITS_WANTED"
    """`size` is 0: only aggregations are asked for."""

    SCORE_THRESHOLD = "SCORE_THRESHOLD"
    """`min_score` was chosen for scores that would change."""

    UNSUPPORTED_QUERY = "UNSUPPORTED_QUERY"
    """The query computes its own scores (function_score, knn, hybrid, script_score, boosting …)."""

    DEGRADED = "DEGRADED"
    """The sidecar gave no usable vector; `degraded` says why."""

    LEXICAL_PROFILE = "LEXICAL_PROFILE"
    """The profile has no sparse retriever."""


TEXT_QUERIES = frozenset(
    {"match", "match_bool_prefix", "match_phrase", "match_phrase_prefix", "multi_match", "combined_fields"}
)
SYNTAX_QUERIES = frozenset({"query_string", "simple_query_string"})
FOREIGN_KEYS = ("knn", "retriever", "rank", "sub_searches", "pit", "scroll", "slice")


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A body's query, taken apart. `scoring` is what the text brings in, the rest restricts what may be found.

    `required`: whether a document had to match `scoring` to be found at all. `unchanged`: why nothing can be done.
    """

    text: str | None = None
    scoring: JsonObject | None = None
    must: tuple[JsonValue, ...] = ()
    filter: tuple[JsonValue, ...] = ()
    must_not: tuple[JsonValue, ...] = ()
    name: JsonValue = None
    required: bool = True
    unchanged: Unchanged | None = None


def anatomy(body: JsonObject, text: str | None = None) -> Anatomy:
    """Take `body` apart. `text` overrides the text found in its clauses."""
    reason = _refusal(body)
    if reason is not None:
        return Anatomy(unchanged=reason)
    query = body.get("query")
    if not isinstance(query, Mapping) or len(query) != 1:
        return Anatomy(unchanged=Unchanged.NO_TEXT_QUERY)
    if _is_text(query):
        parts = Anatomy(scoring=query)
    elif isinstance(query.get("bool"), Mapping):
        parts = _of_bool(query["bool"])  # type: ignore[arg-type]  # narrowed through the call above
    elif set(query) & {"match_all", "match_none", "ids", "term", "terms", "range", "exists", "prefix", "wildcard"}:
        return Anatomy(unchanged=Unchanged.NO_TEXT_QUERY)
    else:
        return Anatomy(unchanged=Unchanged.UNSUPPORTED_QUERY)
    if parts.scoring is None:
        return Anatomy(unchanged=parts.unchanged or Unchanged.NO_TEXT_QUERY)
    return _with_text(parts, text)


def _refusal(body: JsonObject) -> Unchanged | None:
    if any(key in body for key in FOREIGN_KEYS):
        return Unchanged.UNSUPPORTED_QUERY
    if body.get("size") == 0:
        return Unchanged.NO_HITS_WANTED
    if "min_score" in body:
        return Unchanged.SCORE_THRESHOLD
    sort = body.get("sort")
    first = sort[0] if isinstance(sort, Sequence) and not isinstance(sort, str) and sort else sort
    if first is None or first == [] or first == "_score":
        return None
    if isinstance(first, Mapping) and list(first) == ["_score"]:
        order = first["_score"]
        order = order.get("order") if isinstance(order, Mapping) else order
        return None if order in (None, "desc") else Unchanged.SORTED_BY_FIELD
    return Unchanged.SORTED_BY_FIELD


def _of_bool(query: JsonObject) -> Anatomy:
    must = _clauses(query.get("must"))
    should = _clauses(query.get("should"))
    restricting = _clauses(query.get("filter"))
    texts = [clause for clause in must if _is_text(clause)]
    others = [clause for clause in must if not _is_text(clause)]
    if not texts and not any(_is_text(clause) for clause in should):
        foreign = any(isinstance(clause, Mapping) and "bool" in clause for clause in (*must, *should))
        return Anatomy(unchanged=Unchanged.UNSUPPORTED_QUERY if foreign else Unchanged.NO_TEXT_QUERY)
    minimum = query.get("minimum_should_match")
    scoring: dict[str, JsonValue] = {}
    if texts:
        scoring["must"] = texts
    if should:
        scoring["should"] = list(should)
    if minimum is not None:
        scoring["minimum_should_match"] = minimum
    if "boost" in query:
        scoring["boost"] = query["boost"]
    optional = not texts and minimum in (None, 0, "0") and bool(must or restricting)
    return Anatomy(
        scoring={"bool": scoring},
        must=tuple(others),
        filter=tuple(restricting),
        must_not=tuple(_clauses(query.get("must_not"))),
        name=query.get("_name"),
        required=not optional,
    )


def _with_text(parts: Anatomy, text: str | None) -> Anatomy:
    assert parts.scoring is not None
    found: set[str] = set()
    syntax = _collect_texts(parts.scoring, found)
    if text is None:
        if len(found) > 1:
            return Anatomy(unchanged=Unchanged.SEVERAL_TEXTS)
        if not found:
            return Anatomy(unchanged=Unchanged.QUERY_SYNTAX if syntax else Unchanged.NO_TEXT_QUERY)
        text = next(iter(found))
    if not text.strip():
        return Anatomy(unchanged=Unchanged.NO_TEXT_QUERY)
    return Anatomy(
        text, parts.scoring, parts.must, parts.filter, parts.must_not, parts.name, parts.required, parts.unchanged
    )


def _clauses(value: JsonValue) -> list[JsonValue]:
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _is_text(clause: JsonValue) -> bool:
    """Whether a clause is full-text search, or a `dis_max` of such."""
    if not isinstance(clause, Mapping) or len(clause) != 1:
        return False
    ((kind, content),) = clause.items()
    if kind == "dis_max" and isinstance(content, Mapping):
        parts = _clauses(content.get("queries"))
        return bool(parts) and all(_is_text(part) for part in parts)
    return kind in TEXT_QUERIES or kind in SYNTAX_QUERIES


def _collect_texts(clause: JsonValue, found: set[str]) -> bool:
    """Add every searched text below `clause` to `found`; return whether query syntax was met."""
    if not isinstance(clause, Mapping):
        return False
    syntax = False
    for kind, content in clause.items():
        if kind in SYNTAX_QUERIES:
            syntax = True
        elif kind in ("multi_match", "combined_fields") and isinstance(content, Mapping):
            _add(content.get("query"), found)
        elif kind in TEXT_QUERIES and isinstance(content, Mapping):
            for value in content.values():
                _add(value.get("query") if isinstance(value, Mapping) else value, found)
        elif kind in ("bool", "dis_max") and isinstance(content, Mapping):
            for part in ("must", "should", "queries"):
                for inner in _clauses(content.get(part)):
                    syntax = _collect_texts(inner, found) or syntax
    return syntax


def _add(value: JsonValue, found: set[str]) -> None:
    if isinstance(value, str):
        found.add(value)
