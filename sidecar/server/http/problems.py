"""Errors on their way out: one description of what went wrong, and one renderer per dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.responses import Response

from sidecar.errors import InvalidInput, SidecarError, wire_error
from sidecar.server.http.answers import json_response
from sidecar.validation import InvalidValue

__all__ = ["Problem", "Renderer", "invalid_request", "problem_json", "problem_of", "problem_schema"]

PROBLEM_TYPE = "urn:splade-sidecar:problem:"
"""Prefix of the problem types; the rest is the reason in kebab-case."""

UNEXPECTED = "The sidecar failed; its log has the details under this request's id."

_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,39}$")
_UNION_BRANCHES = frozenset({"str", "int", "float", "bool"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What every dialect's renderer gets. `retry_after` is in seconds; `cause` is what was raised."""

    status: int
    reason: str
    detail: str
    field: str | None = None
    retry_after: float | None = None
    cause: type[BaseException] = SidecarError

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that HTTP itself asks for: Retry-After in whole seconds, and the 401 challenge."""
        headers: dict[str, str] = {}
        if self.retry_after is not None or self.status in (429, 503):
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after or 0.0)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers


Renderer: TypeAlias = Callable[[Problem], Response]


def problem_of(error: BaseException) -> Problem:
    """Describe an error. Whatever is not a SidecarError is our fault, and its message is kept back."""
    if not isinstance(error, SidecarError):
        return Problem(500, "INTERNAL", UNEXPECTED, cause=type(error))
    wire = wire_error(error)
    return Problem(wire.http_status, wire.reason, error.message, error.field, error.retry_after, type(error))


def problem_json(problem: Problem) -> Response:
    """Render as RFC 9457 application/problem+json: what native routes answer."""
    content = {
        "type": PROBLEM_TYPE + problem.reason.lower().replace("_", "-"),
        "title": problem.reason.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
        "field": problem.field,
    }
    return json_response(content, problem.status, problem.headers, "application/problem+json")


def problem_schema() -> dict[str, Any]:
    """Return the JSON schema of `problem_json`, for the OpenAPI document."""
    return {
        "type": "object",
        "title": "Problem",
        "description": "RFC 9457 problem details.",
        "required": ["type", "title", "status", "detail", "reason", "field"],
        "properties": {
            "type": {"type": "string", "description": f"`{PROBLEM_TYPE}` and the reason in kebab-case."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What to do next. Never repeats the request's text."},
            "reason": {"type": "string", "description": "As in gRPC's ErrorInfo.reason."},
            "field": {
                "type": ["string", "null"],
                "description": "The part of the request that is to blame, e.g. `texts[3]`.",
            },
        },
    }


def invalid_request(errors: Iterable[Mapping[str, Any]]) -> InvalidInput:
    """Turn pydantic's errors into ours, without the input they echo.

    One is told: the one that lies deepest, since a union lists a failure of each of its branches, and the branch
    that got furthest is the one that was meant. Of two as deep, a rule of ours was broken by what had the right shape.
    """
    first = max(errors, key=lambda error: (len(error.get("loc", ())), error.get("type") == "value_error"))
    field = _place(first.get("loc", ()))
    kind = str(first.get("type", ""))
    if kind == "missing" and field is None:
        return InvalidInput("The request needs a JSON body.")
    if kind == "extra_forbidden":
        return InvalidInput("This field is unknown here; see /openapi.json for the ones there are.", field=field)
    message = InvalidValue.of(first).what
    return InvalidInput(f"{message[:1].upper()}{message[1:]}.", field=field)


def _place(location: Sequence[object]) -> str | None:
    """Write a location as `texts[3]` or `pruning.type`; parts that may be a caller's own words are left out."""
    place = ""
    for part in location[1:]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif isinstance(part, str) and _NAME.match(part) and part not in _UNION_BRANCHES:
            place += f".{part}" if place else part
    return place or None
