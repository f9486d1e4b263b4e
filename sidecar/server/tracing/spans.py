"""The span of one call, whichever port it came in by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TypeAlias

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from sidecar.server.tracing.calls import CALL
from sidecar.tracing import Attributes
from sidecar.tracing.spans import ERROR_TYPE, tracer

__all__ = ["CallSpan", "Carrier", "Parts", "server_span"]

Carrier: TypeAlias = Sequence[tuple[str | bytes, str | bytes]]
"""Headers of an ASGI scope, or a gRPC call's metadata; names in lower case."""

FAILED_REQUESTS = "sidecar.failed_requests"


class Parts(Enum):
    """How many requests a call is made of: one; a batch, which fails as a whole; or a stream, which goes on."""

    ONE = "one"
    BATCH = "batch"
    STREAM = "stream"


class CallSpan:
    """The span of the call at hand. What is known of it is gathered, and set at its end: each setting takes a lock."""

    def __init__(self, span: Span, parts: Parts) -> None:
        self.span = span
        self.parts = parts
        self.reason: str | None = None
        self._known: dict[str, str | int] = {}
        self._counts: Counter[str] = Counter()

    def failed(self, reason: str) -> None:
        """Note why the call failed; one of a stream's requests is counted, and the stream has not failed."""
        if self.parts is Parts.STREAM:
            self._counts[FAILED_REQUESTS] += 1
        else:
            self.reason = reason

    def answered(self, known: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Note what came out; counts of several requests are added up."""
        self._known.update(known)
        self._counts.update(counts)

    def log_ids(self) -> Mapping[str, str]:
        """See `TracedCall.log_ids`."""
        ids = self.span.get_span_context()
        return {"trace_id": trace.format_trace_id(ids.trace_id), "span_id": trace.format_span_id(ids.span_id)}

    def end(self, known: Mapping[str, str | int], *, failed: str | None, our_fault: bool) -> None:
        """Set all that is known. `failed`: why, where nobody has said so before; None: it has not failed.

        The status is ERROR only where it was `our_fault`: a request that was wrong is no failure of the server's.
        """
        reason = self.reason or failed
        error = {} if reason is None else {ERROR_TYPE: reason}
        self.span.set_attributes({**self._known, **self._counts, **known, **error})
        if our_fault:
            self.span.set_status(Status(StatusCode.ERROR, reason))


@contextmanager
def server_span(name: str, carrier: Carrier, attributes: Attributes, parts: Parts) -> Iterator[CallSpan]:
    """Open a call's span below the one that its caller names, and make it the current one.

    Whether it is kept is up to OTEL_TRACES_SAMPLER; by default, to the caller's sampled flag.
    """
    parent = propagate.extract(_by_name(carrier), context.Context())
    span = tracer().start_span(name, parent, SpanKind.SERVER, attributes)
    call = CallSpan(span, parts)
    current = context.attach(trace.set_span_in_context(span, parent))
    known = CALL.set(call)
    try:
        yield call
    finally:
        CALL.reset(known)
        context.detach(current)
        span.end()


def _by_name(carrier: Carrier) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in carrier:
        found.setdefault(_text(name), []).append(_text(value))
    return found


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
