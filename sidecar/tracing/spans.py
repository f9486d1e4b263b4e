"""Spans by opentelemetry's API; imported where the process has imported that already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from sidecar import __version__
from sidecar.errors import SidecarError, wire_error
from sidecar.tracing import Attributes, Headers

__all__ = ["ERROR_TYPE", "configured", "fail", "headers", "opened", "reason_of", "tracer"]

SCOPE = "splade-sidecar"
"""Whose spans these are: the name of the instrumentation scope."""

ERROR_TYPE = "error.type"

_known: tuple[TracerProvider, Tracer] | None = None


def configured() -> bool:
    """Whether the process has a provider of tracers; opentelemetry's own one, until then, makes spans of nothing."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def tracer() -> Tracer:
    """Return our tracer of the process's provider."""
    global _known
    provider = trace.get_tracer_provider()
    if _known is None or _known[0] is not provider:
        # Once: a provider looks each one up under a lock.
        _known = provider, provider.get_tracer(SCOPE, __version__)
    return _known[1]


@contextmanager
def opened(name: str, attributes: Attributes, *, client: bool) -> Iterator[Span]:
    """See `sidecar.tracing.span`."""
    with tracer().start_as_current_span(
        name,
        kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, reason_of(error))
            raise


def fail(span: Span, reason: str) -> None:
    """Say that what the span stands for failed, and why, in one word."""
    span.set_attribute(ERROR_TYPE, reason)
    span.set_status(Status(StatusCode.ERROR, reason))


def reason_of(error: BaseException) -> str:
    """Return the reason of ErrorInfo, or the name of a class that has none."""
    if isinstance(error, SidecarError):
        return wire_error(error).reason
    return "CANCELLED" if isinstance(error, asyncio.CancelledError) else type(error).__name__


def headers() -> Headers:
    """See `sidecar.tracing.propagated`."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    # gRPC refuses upper case, which some propagators have.
    return tuple((name.lower(), value) for name, value in carrier.items())
