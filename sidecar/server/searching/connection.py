"""The process's one connection to the cluster: made when the cluster is there, however late that is."""

from __future__ import annotations

import asyncio
import time

import structlog

from sidecar.engine import Engine
from sidecar.errors import EngineError, EngineUnavailable, NotReady, SidecarError
from sidecar.server.searching.access import ClusterAccess
from sidecar.server.searching.failures import note_cluster

__all__ = ["Connection"]

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0
"""For learning what answers at the address."""

PAUSE_SECONDS = 1.0
"""How long a failed attempt stands for those that come after it: a cluster that is down is not knocked at by each."""


class Connection:
    """Makes the engine with its first use, or at `open`; all who wait for it wait for the same attempt.

    An engine that was made once is kept: it finds a cluster again that was away. Only `renew` makes another one. To be
    used in one event loop.

    Usage:
        connection = Connection(ClusterAccess.of(settings))
        connection.open()
        engine = await connection.engine()
        await connection.close()
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._attempt: asyncio.Task[Engine] | None = None
        self._failed_at = float("-inf")
        self._closed = False
        self._given_up: Engine | None = None

    def open(self) -> None:
        """Begin to connect, and wait for nothing."""
        self._begin()

    async def engine(self) -> Engine:
        """Return the engine; raise EngineError where the cluster can't be reached, NotReady after `close`."""
        if self._closed:
            raise _shutting_down()
        attempt = self._attempt
        if attempt is None or (_failed(attempt) and time.monotonic() - self._failed_at > PAUSE_SECONDS):
            attempt = self._begin()
        try:
            # Shielded: others wait for the same attempt.
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            # Only `close` cancels an attempt.
            if not attempt.cancelled() or (waiting is not None and waiting.cancelling()):
                raise
            raise _shutting_down() from None

    async def renew(self, engine: Engine) -> None:
        """Connect anew with the next call: the cluster knows `engine`'s user no more, whose password may be another.

        Calls under way go on with the old engine, which is closed when another one is given up.
        """
        attempt = self._attempt
        if attempt is None or not attempt.done() or _failed(attempt) or attempt.result() is not engine:
            return
        before, self._given_up, self._attempt = self._given_up, engine, None
        if before is not None:
            await before.close()

    async def close(self) -> None:
        """Close what was opened; no call begins after this."""
        self._closed = True
        if self._given_up is not None:
            await self._given_up.close()
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        attempt.cancel()
        (outcome,) = await asyncio.gather(attempt, return_exceptions=True)
        if isinstance(outcome, Engine):
            await outcome.close()

    def _begin(self) -> asyncio.Task[Engine]:
        self._attempt = attempt = asyncio.get_running_loop().create_task(self._connect())
        attempt.add_done_callback(self._settled)
        return attempt

    async def _connect(self) -> Engine:
        try:
            engine = await self._access.connect(CONNECT_SECONDS)
        except EngineError as error:
            note_cluster(error)
            raise
        except SidecarError as error:
            # The password's file is gone, for instance: the operator's to mend, as a cluster that is away is.
            log.error("the cluster can't be asked", detail=error.message)
            raise EngineUnavailable(error.message, retry_after=PAUSE_SECONDS) from error
        info = engine.info
        log.info("cluster found", address=engine.address, cluster=info.title, version=info.version)
        return engine

    def _settled(self, attempt: asyncio.Task[Engine]) -> None:
        if _failed(attempt):
            self._failed_at = time.monotonic()


def _shutting_down() -> NotReady:
    return NotReady("The sidecar is shutting down: send the call elsewhere.", retry_after=1.0)


def _failed(attempt: asyncio.Task[Engine]) -> bool:
    # Asking for the exception also says that it was seen, so that no loop complains where nobody waited.
    return attempt.done() and (attempt.cancelled() or attempt.exception() is not None)
