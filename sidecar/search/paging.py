"""Which page an application's own body asks for, and whether a reranked order has pages of that kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain import JsonObject, JsonValue
from sidecar.errors import InvalidInput

__all__ = ["NotReranked", "Page", "page_of", "why_not_reranked"]

DEFAULT_SIZE = 10
"""`size` of a body that names none."""

LARGEST = 2**31 - 1

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class NotReranked(StrEnum):
    """Why a body is not reranked although the profile says so."""

    OWN_SORT = "OWN_SORT"
    """Its `sort` names more than `_score`: pages go on from the last hit's values (`search_after`), and the last hit
    of a reranked page is not the last one in that order."""

    SEARCH_AFTER = "SEARCH_AFTER"
    """It goes on from a hit of another page, whose place in a reranked order is not known."""


@dataclass(frozen=True, slots=True)
class Page:
    """The hits ranked `start + 1` to `start + size`."""

    start: int
    size: int


def page_of(body: JsonObject) -> Page:
    """Read `from` and `size` as the cluster does: numbers in strings count, and fractions are cut off.

    Raises InvalidInput for what the cluster refuses: negative ones, and what is no number.
    """
    return Page(_number(body, "from", 0), _number(body, "size", DEFAULT_SIZE))


def why_not_reranked(body: JsonObject) -> NotReranked | None:
    """Return the reason, the same one on every page of a body; None where nothing stands against it."""
    if not _by_score_alone(body.get("sort")):
        return NotReranked.OWN_SORT
    return NotReranked.SEARCH_AFTER if "search_after" in body else None


def _by_score_alone(sort: JsonValue) -> bool:
    """Whether the cluster takes `sort` for its default: best score first, ties in no order that has a name."""
    keys = list(sort) if isinstance(sort, Sequence) and not isinstance(sort, str) else [sort]
    if not keys or keys == [None]:
        return True
    if len(keys) > 1:
        return False
    if isinstance(keys[0], Mapping):
        (order,) = keys[0].values() if list(keys[0]) == ["_score"] else ("another field",)
        order = order.get("order", "desc") if isinstance(order, Mapping) else order
        return order == "desc"
    return keys[0] == "_score"


def _number(body: JsonObject, key: str, default: int) -> int:
    if key not in body:
        return default
    value = body[key]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise InvalidInput(f"The body's {key} must be a whole number.", field=f"body.{key}")
    if value < 0:
        raise InvalidInput(f"The body's {key} must be >= 0.", field=f"body.{key}")
    return int(value)
