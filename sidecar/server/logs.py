"""Log lines on stderr: JSON for machines or plain for people, one form for our own and for the libraries' lines."""

from __future__ import annotations

import asyncio
import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, Processor

from sidecar.server.incidents import whereabouts
from sidecar.server.repeats import Repeats

__all__ = ["configure_logging", "log_loop_errors"]

QUIET = {
    "uvicorn": logging.WARNING,
    "asyncio": logging.WARNING,
    "grpc": logging.WARNING,
    "opensearch": logging.ERROR,
}
"""Libraries whose lines repeat what ours say; a cluster's 404 is often the answer that was asked for."""

REPEAT_SECONDS = 5.0
"""How often the same trouble of the event loop or of uvicorn is written down; callers without a token can cause it."""

EXPORT_REPEAT_SECONDS = 60.0
"""How often the same trouble with spans is written down."""

IN_CALLBACK = "Exception in callback"

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
    handler.addFilter(_SeldomRepeated())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name, floor in QUIET.items():
        logging.getLogger(name).setLevel(max(number, floor))


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log what goes wrong in the loop's callbacks; asyncio's own handler would print values of the failed task."""

    repeats = Repeats(REPEAT_SECONDS)

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        # asyncio goes on with the callback's arguments, which may hold a user's text.
        what = IN_CALLBACK if str(context.get("message")).startswith(IN_CALLBACK) else str(context.get("message"))
        left_out = repeats.worth_a_line((what, type(error)))
        if left_out is not None:
            where = whereabouts(error) if isinstance(error, BaseException) else {}
            log.error("event loop error", what=what, left_out=left_out, **where)

    loop.set_exception_handler(handle)


class _SeldomRepeated(logging.Filter):
    """Lets libraries' lines through once in a while that come by the thousand.

    Any caller brings a warning of uvicorn's with any request that is none; a collector of spans that is away brings one
    of opentelemetry's with every batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._uvicorn = Repeats(REPEAT_SECONDS)
        self._opentelemetry = Repeats(EXPORT_REPEAT_SECONDS)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("opentelemetry"):
            # By the place: the message may have been put together already, and never be the same twice.
            left_out = self._opentelemetry.worth_a_line((record.name, record.lineno))
        elif record.name.startswith("uvicorn") and record.levelno <= logging.WARNING:
            left_out = self._uvicorn.worth_a_line(record.msg)
        else:
            return True
        if left_out:
            record.msg = f"{record.msg} (and {left_out} times before, left out)"
        return left_out is not None


def _without_messages(logger: object, method: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and place: its message may hold a user's text."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(whereabouts(error))
    return event


def _json(event: EventDict, default: object = None) -> str:
    return orjson.dumps(event, default=str).decode()
