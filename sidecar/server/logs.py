"""Log lines on stderr: JSON for machines or plain for people, one form for our own and for the libraries' lines."""

from __future__ import annotations

import asyncio
import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor

from sidecar.server.incidents import whereabouts

__all__ = ["configure_logging", "log_loop_errors"]

QUIET = {
    "uvicorn": logging.WARNING,
    "asyncio": logging.WARNING,
    "grpc": logging.WARNING,
    "opensearch": logging.ERROR,
}
"""Libraries whose lines repeat what ours say; a cluster's 404 is often the answer that was asked for."""

log = structlog.get_logger(__name__)


def configure_logging(level: str, *, json: bool) -> None:
    """Send every log line of the process to stderr, from `level` on; call once, before anything is logged."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name, floor in QUIET.items():
        logging.getLogger(name).setLevel(max(number, floor))


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log what goes wrong in the loop's callbacks; asyncio's own handler would print values of the failed task."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        where = whereabouts(error) if isinstance(error, BaseException) else {}
        log.error("event loop error", what=str(context.get("message")), **where)

    loop.set_exception_handler(handle)


def _without_messages(logger: object, method: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and place: its message may hold a user's text."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(whereabouts(error))
    return event


def _json(event: EventDict, default: object = None) -> str:
    return orjson.dumps(event, default=str).decode()
