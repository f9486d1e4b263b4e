"""The process's one connection to the cluster: made when the cluster is there, however late that is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from sidecar.engine import Engine
from sidecar.errors import EngineError, EngineUnavailable, NotReady, SidecarError
from sidecar.server.in_thread import in_thread
from sidecar.server.incidents import whereabouts
from sidecar.server.repeats import Repeats
from sidecar.server.searching.access import Certificates, ClusterAccess
from sidecar.server.searching.failures import note_cluster

__all__ = ["Connection"]

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0
"""For learning what answers at the address."""

PAUSE_SECONDS = 1.0
"""How long a failed attempt stands for those that come after it: a cluster that is down is not knocked at by each."""


LOOK_SECONDS = 5.0
"""How often the certificates' files are read, as often as the server's own."""


@dataclass(frozen=True, slots=True)
class _Made:
    engine: Engine
    certificates: Certificates


class Connection:
    """Makes the engine with its first use, or at `open`; all who wait for it wait for the same attempt.

    An engine that was made once is kept: it finds a cluster again that was away. Only `renew`, and other certificates
    in the files, make another one. To be used in one event loop.

    Usage:
        connection = Connection(ClusterAccess.of(settings))
        connection.open()
        engine = await connection.engine()
        await connection.close()
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._attempt: asyncio.Task[_Made] | None = None
        self._failed_at = float("-inf")
        self._closed = False
        self._given_up: Engine | None = None
        self._watching: asyncio.Task[None] | None = None
        self._seen: Certificates | None = None
        self._repeats = Repeats(seconds=60.0)
        # Also those that nobody waits for any more.
        self._engines: set[Engine] = set()

    def open(self) -> None:
        """Begin to connect, and to look at the certificates' files every LOOK_SECONDS; wait for nothing."""
        self._begin()
        if self._access.has_certificates:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def engine(self) -> Engine:
        """Return the engine; raise EngineError where the cluster can't be reached, NotReady after `close`."""
        if self._closed:
            raise _shutting_down()
        attempt = self._attempt
        if attempt is None or (_failed(attempt) and time.monotonic() - self._failed_at > PAUSE_SECONDS):
            attempt = self._begin()
        try:
            # Shielded: others wait for the same attempt.
            return (await asyncio.shield(attempt)).engine
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
        if attempt is None or not attempt.done() or _failed(attempt) or attempt.result().engine is not engine:
            return
        self._attempt = None
        await self._give_up(engine)

    async def look(self) -> None:
        """Connect anew if the files hold other certificates, and these serve; else stay with those in force.

        Others are taken when they were found twice: of files that are copied one after the other, the first does not
        fit the second.
        """
        attempt = self._attempt
        if attempt is None or not attempt.done() or _failed(attempt):
            # Whoever connects next reads the files.
            return
        in_force = attempt.result()
        try:
            found = await in_thread(self._access.certificates)
            seen, self._seen = self._seen, found
            if found == in_force.certificates or found != seen:
                return
            fresh = asyncio.get_running_loop().create_task(self._made())
            await fresh
        except SidecarError as error:
            if self._repeats.worth_a_line("certificates") is not None:
                log.warning("the cluster's new certificates are not taken, the old ones stay", detail=error.message)
            return
        if self._attempt is not attempt:
            # The password was another, too: who connected for that may have read the old certificates.
            await self._close_engine(fresh.result().engine)
            return
        self._attempt = fresh
        log.info("certificates for the cluster replaced", address=in_force.engine.address)
        await self._give_up(in_force.engine)

    async def close(self) -> None:
        """Close what was opened; no call begins after this."""
        self._closed = True
        under_way = [task for task in (self._watching, self._attempt) if task is not None]
        self._watching = self._attempt = None
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for engine in tuple(self._engines):
            await self._close_engine(engine)

    def _begin(self) -> asyncio.Task[_Made]:
        self._attempt = attempt = asyncio.get_running_loop().create_task(self._connect())
        attempt.add_done_callback(self._settled)
        return attempt

    async def _connect(self) -> _Made:
        try:
            made = await self._made()
        except EngineError as error:
            note_cluster(error)
            raise
        except SidecarError as error:
            # The password's file is gone, for instance: the operator's to mend, as a cluster that is away is.
            log.error("the cluster can't be asked", detail=error.message)
            raise EngineUnavailable(error.message, retry_after=PAUSE_SECONDS) from error
        info = made.engine.info
        log.info("cluster found", address=made.engine.address, cluster=info.title, version=info.version)
        return made

    async def _made(self) -> _Made:
        # Before the library reads them: what is changed meanwhile is found to be another one.
        certificates = await in_thread(self._access.certificates) if self._access.has_certificates else ()
        engine = await self._access.connect(CONNECT_SECONDS)
        self._engines.add(engine)
        return _Made(engine, certificates)

    async def _give_up(self, engine: Engine) -> None:
        """Leave an engine to the calls under way, and close the one that was given up before."""
        before, self._given_up = self._given_up, engine
        if before is not None:
            await self._close_engine(before)

    async def _close_engine(self, engine: Engine) -> None:
        self._engines.discard(engine)
        await engine.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:
                # Whatever it was, the next look may find better files.
                log.error("the cluster's certificates could not be looked at", **whereabouts(error))

    def _settled(self, attempt: asyncio.Task[_Made]) -> None:
        if _failed(attempt):
            self._failed_at = time.monotonic()


def _shutting_down() -> NotReady:
    return NotReady("The sidecar is shutting down: send the call elsewhere.", retry_after=1.0)


def _failed(attempt: asyncio.Task[_Made]) -> bool:
    # Asking for the exception also says that it was seen, so that no loop complains where nobody waited.
    return attempt.done() and (attempt.cancelled() or attempt.exception() is not None)
