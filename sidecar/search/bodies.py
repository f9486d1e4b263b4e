"""Reading an application's own `_search` body: what of it is the text, what restricts, and whether it can be augmented.

The law: the augmented body finds no document that the application's own body would not allow if its one text search
found everything. So exactly one search for one text may be widened, and everything else holds as it is:

- A clause is a search for the text if it is a full-text query (or a `dis_max` of nothing else) for that very string in
  a field that holds encoded text. Numbers, booleans, other fields and other strings are restrictions.
- Of the clauses that must all match (`must`, and `should` with a `minimum_should_match`) one alone may be that search.
  Where there are two, nobody can tell which of them restricts, and what a user types must never decide it:
  `SEVERAL_TEXTS`.
- `filter`, `must_not`, the rest of `must`, nested `bool`s and all that scores in other ways (`constant_score`,
  `function_score`, `nested` …) stay where they are; so do `should` and `minimum_should_match`, which may restrict too.
- An expression in query-string syntax is widened only where `text=` says what it means, and never if it names fields
  or excludes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue
from sidecar.search.clauses import SYNTAX_QUERIES, TEXT_QUERIES, Searched, clauses_of, searched

__all__ = ["Anatomy", "Place", "Unchanged", "anatomy", "refusal"]


class Unchanged(StrEnum):
    """Why a body is left as it is."""

    NO_TEXT_QUERY = "NO_TEXT_QUERY"
    """Nothing in it is full-text search of encoded fields: no query, `match_all`, only filters, only other fields."""

    SEVERAL_TEXTS = "SEVERAL_TEXTS"
    """It is not clear which clause is the text search, and which restricts: say which text is meant (`text=`), and let
    one clause alone search for it; restrict in `filter`."""

    QUERY_SYNTAX = "QUERY_SYNTAX"
    """The only text is in query-string syntax: say what the user meant (`text=`). Syntax that names fields or excludes
    something is not widened even so: `Matching.OWN` only reorders what it finds."""

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


FOREIGN_KEYS = ("knn", "retriever", "rank", "sub_searches", "pit", "scroll", "slice")
BOOL_KEYS = frozenset(
    {"must", "should", "filter", "must_not", "minimum_should_match", "boost", "_name", "adjust_pure_negative"}
)
RESTRICTING = frozenset({"match_all", "match_none", "ids", "term", "terms", "range", "exists", "prefix", "wildcard"})
NONE_NEEDED: tuple[JsonValue, ...] = (None, 0, "0")
"""`minimum_should_match` that asks for no clause of `should` beside a `must` or a `filter`."""
ONE_AT_MOST: tuple[JsonValue, ...] = (*NONE_NEEDED, 1, "1")
EVERYTHING: JsonObject = {"match_all": {}}


class Place(StrEnum):
    """Where the text search stands in its `bool`."""

    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A body's query, taken apart: `scoring` is the search for `text`, in `place`; the rest stays as it was.

    `minimum` is the body's own `minimum_should_match`. `required`: whether a document had to match something in
    `should` to be found at all. `unchanged`: why nothing can be done.
    """

    text: str | None = None
    scoring: JsonObject | None = None
    place: Place = Place.SHOULD
    must: tuple[JsonValue, ...] = ()
    should: tuple[JsonValue, ...] = ()
    filter: tuple[JsonValue, ...] = ()
    must_not: tuple[JsonValue, ...] = ()
    minimum: JsonValue = None
    boost: JsonValue = None
    name: JsonValue = None
    required: bool = True
    unchanged: Unchanged | None = None

    @property
    def counted(self) -> bool:
        """Whether the clauses of `should` are counted, so that the text search has to stay one of them, or apart."""
        return self.minimum not in (NONE_NEEDED if self.place is Place.MUST else ONE_AT_MOST)

    @property
    def restrictions(self) -> tuple[JsonValue, ...]:
        """Clauses that every document of the augmented body's answer matches, whatever the text finds."""
        clauses = [*self.must, *self.filter]
        if self.must_not:
            clauses.append({"bool": {"must_not": list(self.must_not)}})
        if self.counted:
            kept = list(self.should) if self.place is Place.MUST else [EVERYTHING, *self.should]
            clauses.append({"bool": {"filter": [EVERYTHING], "should": kept, "minimum_should_match": self.minimum}})
        return tuple(clauses)


@dataclass(frozen=True, slots=True)
class _Target:
    """The search that may be widened: for `text`, or the only expression, of which `text` is the meaning."""

    text: str
    expression: bool

    def is_in(self, found: Searched | None) -> bool:
        if found is None:
            return False
        return bool(found.expressions) if self.expression else found.texts == {self.text.strip()}


def anatomy(body: JsonObject, fields: frozenset[str], text: str | None = None, *, extend: bool = True) -> Anatomy:
    """Take `body` apart. `fields` hold encoded text; `text` says which of the body's texts is meant.

    `extend` False: the query is to be kept whole, since only the order of what it finds may change.
    """
    reason = refusal(body)
    if reason is not None:
        return Anatomy(unchanged=reason)
    query = body.get("query")
    if not isinstance(query, Mapping) or len(query) != 1:
        return Anatomy(unchanged=Unchanged.NO_TEXT_QUERY)
    ((kind, content),) = query.items()
    if kind == "bool" and isinstance(content, Mapping):
        if not set(content) <= BOOL_KEYS:
            return Anatomy(unchanged=Unchanged.UNSUPPORTED_QUERY)
        parts = content
    elif searched(query, fields) is not None:
        parts = {"should": query}
    elif kind in RESTRICTING or kind in TEXT_QUERIES or kind in SYNTAX_QUERIES:
        return Anatomy(unchanged=Unchanged.NO_TEXT_QUERY)
    else:
        return Anatomy(unchanged=Unchanged.UNSUPPORTED_QUERY)
    must = [(clause, searched(clause, fields)) for clause in clauses_of(parts.get("must"))]
    should = [(clause, searched(clause, fields)) for clause in clauses_of(parts.get("should"))]
    found = [one for _, one in (*must, *should) if one is not None]
    if not found:
        foreign = any(isinstance(clause, Mapping) and "bool" in clause for clause, _ in (*must, *should))
        return Anatomy(unchanged=Unchanged.UNSUPPORTED_QUERY if foreign else Unchanged.NO_TEXT_QUERY)
    target = _target(found, text, extend=extend)
    if isinstance(target, Unchanged):
        return Anatomy(unchanged=target)
    if not extend:
        return Anatomy(target.text, query)
    return _apart(parts, must, should, target)


def refusal(body: JsonObject) -> Unchanged | None:
    """Return why a body can't be augmented whatever its query is, or None."""
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


def _target(found: Sequence[Searched], text: str | None, *, extend: bool) -> _Target | Unchanged:
    texts = {one for each in found for one in each.texts}
    expressions = [each for each in found if each.expressions]
    unclear = Unchanged.SEVERAL_TEXTS if texts else Unchanged.QUERY_SYNTAX
    if text is None:
        if len(texts) != 1 or expressions:
            return unclear
        text = next(iter(texts))
    if not text.strip():
        return Unchanged.NO_TEXT_QUERY
    if not extend or (text.strip() in texts and not expressions):
        return _Target(text, expression=False)
    if text.strip() in texts or len(expressions) != 1 or expressions[0].restricting or expressions[0].texts:
        return unclear
    return _Target(text, expression=True)


def _apart(
    parts: JsonObject,
    must: Sequence[tuple[JsonValue, Searched | None]],
    should: Sequence[tuple[JsonValue, Searched | None]],
    target: _Target,
) -> Anatomy:
    """Take a `bool` apart, where it is clear which of its clauses is the search for the text."""
    required = [clause for clause, found in must if target.is_in(found)]
    optional = [clause for clause, found in should if target.is_in(found)]
    minimum, restricting = parts.get("minimum_should_match"), clauses_of(parts.get("filter"))
    place = Place.MUST if required else Place.SHOULD
    together = len(required)
    if minimum not in (NONE_NEEDED if required else ONE_AT_MOST):
        together += len(optional)
    if together > 1 or not (required or optional):
        return Anatomy(unchanged=Unchanged.SEVERAL_TEXTS)
    if required and not optional:
        scoring = required[0]
    elif required:
        scoring = {"bool": {"must": required, "should": optional}}
    else:
        scoring = optional[0] if len(optional) == 1 else {"bool": {"should": optional}}
    assert isinstance(scoring, Mapping)
    return Anatomy(
        text=target.text,
        scoring=scoring,
        place=place,
        must=tuple(clause for clause, found in must if not target.is_in(found)),
        should=tuple(clause for clause, found in should if not target.is_in(found)),
        filter=tuple(restricting),
        must_not=tuple(clauses_of(parts.get("must_not"))),
        minimum=minimum,
        boost=parts.get("boost"),
        name=parts.get("_name"),
        required=minimum not in NONE_NEEDED or not (must or restricting),
    )
