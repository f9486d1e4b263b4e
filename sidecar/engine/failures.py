"""opensearch-py's exceptions and a cluster's error bodies, as errors of ours.

A cluster's reasons quote the request back ("Failed to parse query [...]"). What comes from a request's values is
taken out before a reason enters a message; the exception that caused it keeps everything for a debugger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
from opensearchpy.exceptions import (
    ConnectionError as TransportConnectionError,
)
from opensearchpy.exceptions import (
    ConnectionTimeout,
    ImproperlyConfigured,
    OpenSearchException,
    SerializationError,
    SSLError,
    TransportError,
)

from sidecar.domain import JsonValue
from sidecar.engine.aws_refusals import aws_refusal
from sidecar.engine.connection_failures import without_connection
from sidecar.errors import (
    EngineError,
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    IndexNotFound,
)

__all__ = ["Cause", "from_cause", "from_exception", "without_quoted"]

RETRIABLE_STATUS = frozenset({429, 502, 503, 504})
"""What may pass if the same request is sent again."""

BLOCK = "cluster_block_exception"
"""Type of what an index refuses as a whole: by a setting of its own, or, with 429, for a disk that is nearly full."""

_STRUCTURAL = frozenset({"field", "fields", "type", "path", "analyzer", "index", "format", "_source", "name"})
"""Keys whose values are names of the mapping, not a user's text."""

_QUOTED = re.compile(r"\[[^\[\]]*\]|\"(?:\\.|[^\"\\])*\"|'[^']*'")

_OPENED = re.compile(r"\"|(?<!\w)'")


@dataclass(frozen=True, slots=True)
class Cause:
    """One error as a cluster tells it: HTTP status, type, reason."""

    status: int
    type: str = ""
    reason: str = ""

    @classmethod
    def parse(cls, status: int, error: object) -> Cause:
        """Read the `error` of an answer: an object with root causes, or only a string."""
        if isinstance(error, Mapping):
            root = error.get("root_cause")
            inner = _innermost(error)
            deepest = root[0] if isinstance(root, list) and root and isinstance(root[0], Mapping) else error
            reasons = [str(deepest.get("reason") or "")]
            if inner is not error and inner.get("reason") and str(inner["reason"]) not in reasons[0]:
                # A parser's goes on, line by line, with all that it would have taken.
                reasons.append(str(inner["reason"]).partition("\n")[0])
            return cls(status, str(error.get("type", "")), ": ".join(part for part in reasons if part))
        return cls(status, "", str(error or ""))


def _innermost(error: Mapping[object, object]) -> Mapping[object, object]:
    """Return what all others were caused by; the error itself where it names no cause."""
    while isinstance(inner := error.get("caused_by"), Mapping):
        error = inner
    return error


def from_cause(cause: Cause, *, sent: JsonValue = None) -> EngineError:
    """Return the error of ours for a cluster's refusal. `sent` is the request's body, whose values are taken out."""
    error = _refusal(cause, sent)
    error.status = cause.status or None
    return error


def _refusal(cause: Cause, sent: JsonValue) -> EngineError:
    what = " ".join(part for part in (cause.type, _without_values(cause.reason, sent)) if part)[:600].rstrip(".;")
    what = what or "no reason given"
    if cause.status in (403, 429) and cause.type == BLOCK:
        return EngineRejected(
            f"The index refuses that, whoever asks ({cause.status}): {what}. Take the block out, or free disk space"
            " where the cluster set it: `sidecar doctor` tells which."
        )
    if cause.status == 429:
        return EngineOverloaded(f"The cluster is overloaded (429): {what}.", retry_after=1.0)
    if cause.status in RETRIABLE_STATUS:
        return EngineUnavailable(f"The cluster can't serve the request now ({cause.status}): {what}.", retry_after=1.0)
    if cause.status == 401:
        return EngineRejected(
            "The cluster refuses the credentials (401): give a user and password, or an API key, that it knows."
        )
    if cause.type == "index_closed_exception":
        return EngineRejected(f"The index is closed ({cause.status}): open it by POST /INDEX/_open.")
    if cause.status == 403:
        return EngineRejected(f"The cluster does not allow this user to do that (403): {what}.")
    if cause.type == "index_not_found_exception":
        return IndexNotFound(f"The index does not exist: {what.partition(' ')[2] or what}.")
    if cause.status == 413:
        return EngineRejected("The cluster refuses a request of that size (413): see http.max_content_length.")
    if cause.status >= 500:
        return EngineUnavailable(f"The cluster failed ({cause.status}): {what}.")
    return EngineRejected(f"The cluster refuses the request ({cause.status}): {what}.")


def from_exception(error: Exception, *, address: str, sent: JsonValue = None) -> EngineError:
    """Return the error of ours for an exception of opensearch-py."""
    match error:
        case ConnectionTimeout():
            return EngineUnavailable(f"The cluster at {address} did not answer in time.", retry_after=1.0)
        case SSLError():
            return EngineUnavailable(f"TLS to {address} failed: check the certificate authority given for it.")
        case TransportConnectionError():
            return without_connection(error.info, address)
        case TransportError():
            status, told = _told(error)
            return aws_refusal(status, told) or from_cause(_cause_in(status, told), sent=sent)
        case SerializationError():
            return EngineUnavailable(f"What answers at {address} is no JSON: is it a cluster, or a proxy's error page?")
        case ImproperlyConfigured():
            return EngineRejected(f"The connection to {address} is configured wrongly: {error}.")
        case OpenSearchException():
            return EngineRejected(f"The request to {address} could not be made: {type(error).__name__}.")
        case _:
            raise AssertionError("Only exceptions of opensearch-py come here; this is a bug.") from error


def without_quoted(reason: str) -> str:
    """Return a cluster's reason up to its first quotation: of a refused document, its id or a value follows.

    For messages that end in a log. Names of fields stand in brackets, and stay. What is quoted may hold quotation marks
    of its own, so that nobody can tell where it ends.
    """
    opened = _OPENED.search(reason)
    return reason if opened is None else f"{reason[: opened.start()]}…"


def _told(error: TransportError) -> tuple[int, object]:
    """Return an answer's status, and its body where that is JSON."""
    status = error.status_code if isinstance(error.status_code, int) else 0
    if isinstance(error.info, Mapping):
        return status, error.info
    try:
        return status, orjson.loads(error.error)
    except (TypeError, ValueError):
        return status, None


def _cause_in(status: int, told: object) -> Cause:
    return Cause.parse(status, _error_in(told)) if isinstance(told, Mapping) else Cause(status)


def _error_in(answer: Mapping[str, object]) -> object:
    """Return the error; a request over many documents (`_update_by_query`) tells the first that one of them met."""
    failures = answer.get("failures")
    first = failures[0] if isinstance(failures, list) and failures else None
    return answer.get("error", first.get("cause", first.get("reason")) if isinstance(first, Mapping) else None)


def _without_values(reason: str, sent: JsonValue) -> str:
    words = {word for text in _texts(sent) for word in text.lower().split()}
    if not words:
        return reason

    def shown(match: re.Match[str]) -> str:
        inside = match[0][1:-1].lower()
        return "[…]" if any(word in words for word in inside.split()) or inside in words else match[0]

    # Whole texts first: they may hold brackets and quotation marks of their own.
    for text in sorted(_texts(sent), key=len, reverse=True):
        if len(text) > 3:
            reason = reason.replace(text, "…")
    return _QUOTED.sub(shown, reason)


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _STRUCTURAL:
                yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)
