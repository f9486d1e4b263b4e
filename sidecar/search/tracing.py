"""Spans of a search and of its stages, where the application traces; otherwise the methods as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from sidecar.search.degradation import NO_QUERY_TERMS, NO_STORED_VECTORS, Degraded
from sidecar.search.profile import Profile
from sidecar.tracing import fail, span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["traced_search", "traced_stage"]

DEGRADED = "sidecar.degraded"
DEGRADED_STAGE = "sidecar.degraded_stage"

NO_FAILURES = frozenset({NO_QUERY_TERMS, NO_STORED_VECTORS})
"""Reasons to leave a stage out that nobody failed by."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_DegradedResult = TypeVar("_DegradedResult", bound="DegradedResult")
_Searches = TypeVar("_Searches", bound="Searches")


class Searches(Protocol):
    """Whose methods are searches."""

    profile: Profile
    index: str


class DegradedResult(Protocol):
    """What a search returns: it says what it went without, and why."""

    @property
    def degraded(self) -> str | None: ...
    @property
    def degraded_stage(self) -> str | None: ...


def traced_search(
    name: str,
) -> Callable[
    [Callable[Concatenate[_Searches, _Parameters], Awaitable[_DegradedResult]]],
    Callable[Concatenate[_Searches, _Parameters], Coroutine[object, object, _DegradedResult]],
]:
    """Make a span `sidecar.NAME` of every call: index, profile, and what the search went without."""

    def decorated(
        method: Callable[Concatenate[_Searches, _Parameters], Awaitable[_DegradedResult]],
    ) -> Callable[Concatenate[_Searches, _Parameters], Coroutine[object, object, _DegradedResult]]:
        @wraps(method)
        async def traced(self: _Searches, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _DegradedResult:
            known = {"sidecar.index": self.index, "sidecar.profile": self.profile.name}
            with span(f"sidecar.{name}", known) as current:
                result = await method(self, *args, **kwargs)
                if current is not None and result.degraded is not None:
                    current.set_attributes({DEGRADED: result.degraded, DEGRADED_STAGE: result.degraded_stage or ""})
            return result

        return traced

    return decorated


def traced_stage(
    name: str,
) -> Callable[[Callable[_Parameters, Awaitable[_Result]]], Callable[_Parameters, Coroutine[object, object, _Result]]]:
    """Make a span `sidecar.NAME` of every call; it failed where the result is a degradation that an error caused."""

    def decorated(
        method: Callable[_Parameters, Awaitable[_Result]],
    ) -> Callable[_Parameters, Coroutine[object, object, _Result]]:
        @wraps(method)
        async def traced(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            with span(f"sidecar.{name}") as current:
                result = await method(*args, **kwargs)
                if current is not None:
                    _describe(current, result)
            return result

        return traced

    return decorated


def _describe(current: Span, result: object) -> None:
    found = result if isinstance(result, Degraded) else getattr(result, "degraded", None)
    if not isinstance(found, Degraded):
        return
    current.set_attribute(DEGRADED, found.reason)
    if found.reason not in NO_FAILURES:
        fail(current, found.reason)
