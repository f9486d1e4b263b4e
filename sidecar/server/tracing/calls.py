"""What the server knows of the span of the call at hand, without opentelemetry: most sidecars trace nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Protocol

__all__ = ["CALL", "TRACEPARENT", "TracedCall", "log_ids", "note_failure", "traceparent_of"]

TRACEPARENT = "traceparent"
"""W3C's header, and the gRPC metadata of the same meaning."""

_VERSION_00 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_LATER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class TracedCall(Protocol):
    """The call at hand, while it is traced."""

    def failed(self, reason: str) -> None:
        """Take the reason of ErrorInfo, or the name of a gRPC code where there is none."""

    def log_ids(self) -> Mapping[str, str]:
        """Return `trace_id` and `span_id` in hexadecimal."""
        ...


CALL: ContextVar[TracedCall | None] = ContextVar("sidecar_traced_call", default=None)


def note_failure(reason: str) -> None:
    """Tell the call's span, if it has one, why the call failed."""
    call = CALL.get()
    if call is not None:
        call.failed(reason)


def log_ids(traceparent: str | bytes | None) -> Mapping[str, str]:
    """Return what a log line about a call says of its trace: `trace_id` and `span_id`, or nothing.

    They are those of the call's own span. Where it has none, they are its caller's, as long as `traceparent` is well
    formed: whoever looks for a trace finds the lines of a sidecar, too, that sends no spans.
    """
    call = CALL.get()
    if call is not None:
        return call.log_ids()
    given = traceparent.decode("latin-1") if isinstance(traceparent, bytes) else traceparent or ""
    found = _VERSION_00.fullmatch(given) or (None if given.startswith("00") else _LATER.fullmatch(given))
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return {}
    return {"trace_id": found[1], "span_id": found[2]}


def traceparent_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | bytes | None:
    """Return the header's value in a gRPC call's metadata; None where it is missing, or there several times."""
    given = [value for key, value in metadata or () if key == TRACEPARENT]
    return given[0] if len(given) == 1 else None
