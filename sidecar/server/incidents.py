"""Errors nobody expected: an id for the caller and the log, and nothing of the request in either."""

from __future__ import annotations

import traceback
import uuid

import structlog

from sidecar.errors import SidecarError

__all__ = ["internal_error", "whereabouts"]

log = structlog.get_logger(__name__)

FRAMES = 8


def internal_error(error: Exception, method: str) -> tuple[SidecarError, str]:
    """Log an unexpected error; return what the caller may know, and the request id that ties the two together."""
    request_id = uuid.uuid4().hex
    log.error("unexpected error", method=method, request_id=request_id, **whereabouts(error))
    return SidecarError(f"Unexpected error; the sidecar's log has it under request id {request_id}."), request_id


def whereabouts(error: BaseException) -> dict[str, str | list[str]]:
    """Say what failed and where, without the message or any value: either may hold a user's text."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
