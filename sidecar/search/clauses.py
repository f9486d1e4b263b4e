"""Reading one clause of a query: which text it searches for, in the fields that hold the encoded text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sidecar.domain import JsonObject, JsonValue

__all__ = ["SYNTAX_QUERIES", "TEXT_QUERIES", "Searched", "clauses_of", "searched"]

ONE_FIELD = frozenset({"match", "match_bool_prefix", "match_phrase", "match_phrase_prefix"})
SEVERAL_FIELDS = frozenset({"multi_match", "combined_fields"})
TEXT_QUERIES = ONE_FIELD | SEVERAL_FIELDS
SYNTAX_QUERIES = frozenset({"query_string", "simple_query_string"})

QUOTED = re.compile(r'"[^"]*"')
ESCAPED = re.compile(r"\\.")
EXCLUDING = re.compile(r"!|(?<!\w)-|\bNOT\b")


@dataclass(frozen=True, slots=True)
class Searched:
    """What a full-text clause searches for, without space around it. `expressions`: what stands in query-string syntax.

    `restricting`: one of the expressions names a field or excludes something, which no other query may lift.
    """

    texts: frozenset[str] = frozenset()
    expressions: frozenset[str] = frozenset()
    restricting: bool = False

    def __or__(self, other: Searched) -> Searched:
        return Searched(
            self.texts | other.texts, self.expressions | other.expressions, self.restricting or other.restricting
        )


def searched(clause: JsonValue, fields: frozenset[str]) -> Searched | None:
    """Return what a clause, or a `dis_max` of such, searches for in `fields`; None where it is no full-text search.

    A value that is no string is none, nor is a string that is looked up in other fields only: those restrict.
    """
    if not isinstance(clause, Mapping) or len(clause) != 1:
        return None
    ((kind, content),) = clause.items()
    if not isinstance(content, Mapping):
        return None
    if kind == "dis_max":
        return _all_of(clauses_of(content.get("queries")), fields)
    if kind in ONE_FIELD:
        return _in_one_field(content, fields)
    if kind not in SEVERAL_FIELDS and kind not in SYNTAX_QUERIES:
        return None
    text = content.get("query")
    if not isinstance(text, str) or not _reaches(content, fields):
        return None
    if kind in SEVERAL_FIELDS:
        return Searched(frozenset({text.strip()}))
    return Searched(expressions=frozenset({text}), restricting=_restricts(text, names=kind == "query_string"))


def clauses_of(value: JsonValue) -> list[JsonValue]:
    """Return the clauses of a part of a `bool`, which may be none, one or a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _all_of(clauses: Sequence[JsonValue], fields: frozenset[str]) -> Searched | None:
    whole = Searched()
    for clause in clauses:
        found = searched(clause, fields)
        if found is None:
            return None
        whole |= found
    return whole if clauses else None


def _in_one_field(content: JsonObject, fields: frozenset[str]) -> Searched | None:
    if len(content) != 1:
        return None
    ((field, value),) = content.items()
    text = value.get("query") if isinstance(value, Mapping) else value
    return Searched(frozenset({text.strip()})) if isinstance(text, str) and field in fields else None


def _reaches(content: JsonObject, fields: frozenset[str]) -> bool:
    """Whether a clause searches one of `fields` at least; one that names none searches all there are."""
    named = clauses_of(content.get("fields") or content.get("default_field"))
    patterns = [name.partition("^")[0] for name in named if isinstance(name, str)]
    return not named or any(fnmatchcase(field, pattern) for field in fields for pattern in patterns)


def _restricts(expression: str, *, names: bool) -> bool:
    """Whether an expression names a field, where its language can (`names`), or excludes something."""
    words = QUOTED.sub(" ", ESCAPED.sub(" ", expression))
    return (names and ":" in words) or EXCLUDING.search(words) is not None
