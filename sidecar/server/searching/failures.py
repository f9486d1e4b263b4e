"""What of a cluster's failure a caller is told, and what its operator.

A caller learns whether to try again, and what of the request the cluster refused. Where the cluster is, which user
asked it and what that user lacks is for the log.
"""

from __future__ import annotations

import structlog

from sidecar.errors import (
    EngineError,
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    InvalidInput,
    SidecarError,
    UnsupportedEngine,
)
from sidecar.server.repeats import Repeats

__all__ = ["for_caller", "note_cluster"]

log = structlog.get_logger(__name__)

SECOND = 1.0

_lines = Repeats(seconds=60.0)


def note_cluster(error: EngineError) -> None:
    """Log that the cluster could not be asked: the first after a quiet minute, then one a minute with the rest."""
    if (left_out := _lines.worth_a_line(type(error).__name__)) is not None:
        log.warning("the cluster can't be asked", error=type(error).__name__, detail=error.message, left_out=left_out)


def for_caller(error: EngineError, *, clauses: str | None) -> SidecarError:
    """Return the error that a caller gets for `error`, and log what is the operator's to mend.

    `clauses` names the field in which the caller sent query clauses of its own, or is None: a request that the cluster
    calls wrong (400) is the caller's then.
    """
    match error:
        case EngineUnavailable():
            note_cluster(error)
            return EngineUnavailable(
                "The cluster does not answer: try again in a moment.", retry_after=error.retry_after or SECOND
            )
        case EngineOverloaded():
            note_cluster(error)
            return EngineOverloaded(
                "The cluster is overloaded: try again in a moment.", retry_after=error.retry_after or SECOND
            )
        case EngineRejected() if error.status == 400 and clauses is not None:
            return InvalidInput(error.message, field=clauses)
        case EngineRejected() | UnsupportedEngine():
            note_cluster(error)
            return type(error)("The cluster refuses what the sidecar asks of it: the sidecar's log says what and why.")
        case _:
            return error
