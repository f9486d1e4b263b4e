"""Which query clauses callers may filter by: those that read the index alone and run nothing of theirs.

A cluster has queries that fetch their values from another index (`terms` with a lookup, `geo_shape`, `percolate`,
`more_like_this`), that hide another query (`wrapper`, `template`), or that run a script. Run with the sidecar's rights,
they would tell a caller what lies in an index that is not on the operator's list. So what is not known to be harmless
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from sidecar.errors import InvalidInput

__all__ = ["ALLOWED", "check_filter"]

COMPOUND: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"must", "should", "filter", "must_not"}),
    "constant_score": frozenset({"filter"}),
    "dis_max": frozenset({"queries"}),
    "has_child": frozenset({"query"}),
    "has_parent": frozenset({"query"}),
    "nested": frozenset({"query"}),
}
"""Queries that hold queries, and where; all else in them is a plain value."""

LEAVES = frozenset(
    {
        *("exists", "ids", "match_all", "match_none", "parent_id", "range", "term", "terms"),
        *("fuzzy", "prefix", "regexp", "wildcard"),
        *("match", "match_bool_prefix", "match_phrase", "match_phrase_prefix", "multi_match", "combined_fields"),
        *("query_string", "simple_query_string"),
        *("geo_bounding_box", "geo_distance", "geo_polygon"),
    }
)

ALLOWED = tuple(sorted({*COMPOUND, *LEAVES}))


def check_filter(given: object) -> None:
    """Raise InvalidInput unless `given` is a clause, or several of them, made of ALLOWED queries; None is fine.

    Expects JSON whose depth was checked.
    """
    if given is not None:
        _check_clauses(given)


def _check_clauses(given: object) -> None:
    for clause in given if _is_list(given) else (given,):
        if not isinstance(clause, Mapping) or len(clause) != 1:
            raise _refused("Each clause of the filter is an object with one key, the kind of query.")
        (kind, content), *_ = clause.items()
        if kind in COMPOUND and isinstance(content, Mapping):
            for key, value in content.items():
                if key in COMPOUND[kind]:
                    _check_clauses(value)
                elif isinstance(value, Mapping) or _is_list(value):
                    raise _refused(f"Beside its queries, a {kind} query of the filter may have plain values only.")
        elif kind in LEAVES and isinstance(content, Mapping):
            if kind == "terms" and any(isinstance(value, Mapping) for value in content.values()):
                raise _refused("A terms query of the filter lists its values: it may not fetch them from an index.")
        else:
            raise _refused(f"The filter may hold these queries: {', '.join(ALLOWED)}. Others may read other indices.")


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _refused(message: str) -> InvalidInput:
    return InvalidInput(message, field="filter")
