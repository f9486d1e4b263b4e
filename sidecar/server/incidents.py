"""What an operator is told of answers that were errors; nothing of the request is in the log."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Mapping

import structlog

from sidecar.errors import Overloaded, SidecarError
from sidecar.server.repeats import Repeats

__all__ = ["internal_error", "note_refusal", "whereabouts"]

log = structlog.get_logger(__name__)

FRAMES = 8

refusals = Repeats(seconds=60.0)


def note_refusal(error: BaseException, method: str) -> None:
    """Log that a call was refused for overload: the first after a quiet minute, then one a minute with the rest."""
    if isinstance(error, Overloaded) and (left_out := refusals.worth_a_line("overloaded")) is not None:
        log.warning("overloaded: calls are refused", method=method, left_out=left_out)


def internal_error(error: Exception, method: str, trace: Mapping[str, str]) -> tuple[SidecarError, str]:
    """Log an unexpected error; return what the caller may know, and the request id that ties the two together.

    `trace`: what `log_ids` says of the call.
    """
    request_id = uuid.uuid4().hex
    log.error("unexpected error", method=method, request_id=request_id, **trace, **whereabouts(error))
    return SidecarError(f"Unexpected error; the sidecar's log has it under request id {request_id}."), request_id


def whereabouts(error: BaseException) -> dict[str, str | list[str]]:
    """Say what failed and where, without the message or any value: either may hold a user's text."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
