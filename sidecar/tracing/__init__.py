"""Distributed tracing as the application has set it up: spans, and the trace context of what is called.

Which spans are kept and where they go is opentelemetry's and the application's to say. An application that traces has
imported `opentelemetry.trace`. As long as nobody has, nothing here does, and a span costs a look into `sys.modules`.

Usage:
    with span("sidecar.encode", {"sidecar.model": name}) as current:
        await call(headers=dict(propagated()))
        if current is not None:
            current.set_attribute("sidecar.texts", 3)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["Attributes", "Headers", "fail", "propagated", "span"]

Attributes: TypeAlias = Mapping[str, str | bool | int | float]
"""Names after opentelemetry's semantic conventions, or `sidecar.…`; nothing of a user's text."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Of an HTTP request, or a gRPC call's metadata: names in lower case."""

API = "opentelemetry.trace"

_NOT_TRACED: AbstractContextManager[None] = nullcontext()


def span(
    name: str, attributes: Attributes | None = None, *, client: bool = False
) -> AbstractContextManager[Span | None]:
    """Open a span below the current one and make it the current one; None where the application has set up no tracing.

    An error that passes is its status, by the reason of ErrorInfo; neither its message nor its traceback is kept, as
    they may hold a user's text. `client`: the span is a call to another process.
    """
    if API not in sys.modules:
        return _NOT_TRACED
    from sidecar.tracing import spans

    return spans.opened(name, attributes or {}, client=client) if spans.configured() else _NOT_TRACED


def fail(current: Span, reason: str) -> None:
    """Say that what a span stands for failed without an error that passes it, and why: a reason as in ErrorInfo."""
    from sidecar.tracing import spans

    spans.fail(current, reason)


def propagated() -> Headers:
    """Return what tells the callee which span it is called by: W3C trace context, or what OTEL_PROPAGATORS says.

    Empty where there is no current span. It need not be one of ours, nor need there be a provider: what an application
    took from its own caller goes on, too.
    """
    if API not in sys.modules:
        return ()
    from sidecar.tracing import spans

    return spans.headers()
