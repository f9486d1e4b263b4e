"""What the dialects share: the `?model=` parameter, their own names in errors, and vectors that Lucene accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from fastapi import Query

from sidecar.domain import SparseVector
from sidecar.errors import InvalidInput, SidecarError
from sidecar.server.http.problems import Problem

__all__ = ["MAX_QUERY_TERMS", "MAX_QUERY_WEIGHT", "ModelParameter", "as_features", "called", "explained", "is_blank"]

MAX_QUERY_WEIGHT = 64.0
"""`FeatureField.newLinearQuery` refuses weights beyond it, and one refused weight fails the whole query."""

MAX_QUERY_TERMS = 1_024
"""Default of `indices.query.bool.max_clause_count`: one term more fails the whole query."""

MIN_WEIGHT = 1.17549435e-38
"""`Float.MIN_NORMAL`: feature fields refuse anything smaller."""

ModelParameter = Annotated[
    str | None, Query(alias="model", description="Which model, where more than the default ones are served.")
]
"""The dialects' bodies have no room for a model's name, or mean something else by it."""


def is_blank(text: str) -> bool:
    """Tell whether nothing in the text can be encoded."""
    return not text.strip()


@contextmanager
def called(names: Mapping[str, str]) -> Iterator[None]:
    """Make errors raised inside name the request's own fields; `names` has them by ours, `texts` or `texts[3]`.

    What stands behind the name, as `[3]`, stays.
    """
    try:
        yield
    except SidecarError as error:
        field = error.field or ""
        found = next((name for name in (field, field.partition("[")[0]) if name in names), None)
        if found is None:
            raise
        own = names[found] + field.removeprefix(found)
        message = own + error.message.removeprefix(field) if error.message.startswith(field) else error.message
        raise type(error)(message, field=own, retry_after=error.retry_after) from None


def explained(problem: Problem) -> str:
    """Return the problem's detail with the field that is to blame: the dialects have no other place for it."""
    if problem.field is None or not issubclass(problem.cause, InvalidInput) or problem.field in problem.detail:
        return problem.detail
    return f"{problem.field}: {problem.detail}"


def as_features(vector: SparseVector, *, for_query: bool) -> list[tuple[int, float]]:
    """Return `(position in the vector, weight)` of what a feature field or query accepts, heaviest first.

    A query keeps its 1,024 heaviest terms. Where its largest weight is beyond 64, all are scaled down by one factor,
    which leaves the order of the hits as it was; cutting single weights would not.
    """
    weights = vector.weights[:MAX_QUERY_TERMS] if for_query else vector.weights
    largest = max(weights, default=0.0)
    if for_query and largest > MAX_QUERY_WEIGHT:
        weights = tuple(min(MAX_QUERY_WEIGHT, weight * MAX_QUERY_WEIGHT / largest) for weight in weights)
    return [(position, weight) for position, weight in enumerate(weights) if weight >= MIN_WEIGHT]
