"""`sidecar serve` as a coroutine: the lifecycle under the process's signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from enum import Enum

import structlog

from sidecar import __version__
from sidecar.server.files import raise_file_limit
from sidecar.server.lifecycle import Lifecycle
from sidecar.server.logs import log_loop_errors
from sidecar.server.tls import warnings
from sidecar.settings import Settings
from sidecar.signals import StopRequests, stop_signals

__all__ = ["Ending", "serve"]

log = structlog.get_logger(__name__)


class Ending(Enum):
    """How serving ended: drained in order, or told to leave before it was ready."""

    DRAINED = "drained"
    LEFT_EARLY = "left early"


async def serve(settings: Settings) -> Ending:
    """Serve until SIGTERM, SIGINT or SIGHUP; the same one again ends the process on the spot, with 128 + its number.

    SIGHUP is left alone where the process was started with it ignored, and never ends it on the spot.

    Raises what `Lifecycle.start` raises. After `LEFT_EARLY` a thread may still be warming up a model: end the process
    without waiting for threads.
    """
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)
    asked, requests, signals = asyncio.Event(), StopRequests(), stop_signals()
    for number in signals:
        loop.add_signal_handler(number, _on_signal, number, requests, asked)
    log.info("starting", version=__version__, pid=os.getpid())
    raise_file_limit()
    for warning in warnings(settings):
        log.warning(warning, address=settings.bind)
    lifecycle = Lifecycle(settings)
    starting = asyncio.create_task(lifecycle.start())
    leaving = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({starting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            log.info("left before it was ready")
            return Ending.LEFT_EARLY
        starting.result()
        await leaving
        await lifecycle.stop()
        return Ending.DRAINED
    finally:
        leaving.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


def _on_signal(number: signal.Signals, requests: StopRequests, asked: asyncio.Event) -> None:
    at_once = requests.at_once(number)
    log.info("signal", name=number.name)
    if at_once:
        sys.stderr.flush()
        os._exit(128 + number)
    asked.set()
