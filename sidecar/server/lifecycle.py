"""The order in which a sidecar comes up and goes down.

Up: ports, ready file, certificates and what is searched tried out - admin port (live, not ready) - bundles verified -
models loaded - warmed up - gRPC and HTTP ports - ready. The cluster that is searched is waited for by nobody.
Down: not ready, health NOT_SERVING - `drain_delay` of serving on - no new calls, `drain_grace` for those under way -
connection to the cluster closed - schedulers drained, models closed - spans sent off.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson
import structlog

from sidecar.bundle import STARTERS, Bundle, find_bundle
from sidecar.inference import InferenceService
from sidecar.server import metrics
from sidecar.server.admin import create_admin_app
from sidecar.server.files import connections_within
from sidecar.server.grpc import GrpcServer
from sidecar.server.http import create_http_app
from sidecar.server.in_thread import in_thread
from sidecar.server.incidents import whereabouts
from sidecar.server.listeners import HttpServer, check_port, open_port
from sidecar.server.ready_file import ReadyFile
from sidecar.server.searching import InProcessSidecar, SearchPlan, SearchService
from sidecar.server.state import ServerState
from sidecar.server.tls import MOST_CONNECTIONS, Tls, posture
from sidecar.server.tracing.setup import FLUSH_SECONDS, open_tracing
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.server.tracing.exporting import Exporting

__all__ = ["Lifecycle", "Ports"]

ADMIN_GRACE_SECONDS = 1.0

ADMIN_SHARE, DATA_SHARE = 1 / 8, 1 / 4
"""Of the files that can be opened yet, for the admin port's connections and then for those of each data port."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that were opened; what the ready file holds."""

    grpc_port: int
    http_port: int
    admin_port: int


class Lifecycle:
    """One sidecar in the running event loop.

    Usage:
        lifecycle = Lifecycle(settings)
        ports = await lifecycle.start()
        await lifecycle.stop()
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = ServerState()
        self._ready_file = ReadyFile(settings.ready_file)
        self._service: InferenceService | None = None
        self._admin: HttpServer | None = None
        self._http: HttpServer | None = None
        self._grpc: GrpcServer | None = None
        self._tls: Tls | None = None
        self._search: SearchService | None = None
        self._tracing: Exporting | None = None

    async def start(self) -> Ports:
        """Come up; what was begun is undone if it fails.

        Raises SettingsInvalid (a port in use, a ready file that can't be written, a certificate that is of no use,
        settings of searching that are of none), BundleNotFound, ManifestInvalid, BundleCorrupt, InferenceFailed.
        """
        try:
            return await self._start()
        except BaseException:
            await self.abandon()
            raise

    async def abandon(self) -> None:
        """Close the ports at once. Models that are being loaded or warmed up are left to the end of the process."""
        self.state.begin_draining()
        self._ready_file.remove()
        for server in (self._grpc, self._http, self._admin):
            if server is not None:
                try:
                    await server.stop(0.0)
                except Exception as error:
                    # What made it necessary to leave is what has to be seen.
                    log.error("could not be stopped", server=type(server).__name__, **whereabouts(error))
        await self._close_search()
        if self._service is not None:
            self._service.close()
        self._close_tls()
        if self._tracing is not None:
            self._tracing.close(0.0)
        self._grpc, self._http, self._admin, self._service = None, None, None, None

    async def stop(self) -> None:
        """Go down in order; calls under way get `drain_grace` seconds. Returns early when there are none."""
        settings = self.settings
        self.state.begin_draining()
        self._ready_file.remove()
        if self._grpc is not None:
            await self._grpc.announce_stop()
        if self._http is not None:
            self._http.announce_stop()
        log.info("draining", delay=settings.drain_delay, grace=settings.drain_grace)
        await asyncio.sleep(settings.drain_delay)
        # Both at once: each caller gets the whole grace, whichever port the call came in by.
        begin = time.monotonic()
        await asyncio.gather(
            *([self._grpc.stop(settings.drain_grace)] if self._grpc is not None else []),
            *([self._http.stop(settings.drain_grace)] if self._http is not None else []),
        )
        await self._close_search()
        left = max(settings.drain_grace - (time.monotonic() - begin), 0.0)
        if self._service is not None:
            await in_thread(partial(self._service.close, left))
        self._close_tls()
        if self._tracing is not None:
            await in_thread(partial(self._tracing.close, FLUSH_SECONDS))
        if self._admin is not None:
            await self._admin.stop(ADMIN_GRACE_SECONDS)
        self._grpc, self._http, self._admin, self._service = None, None, None, None
        log.info("stopped")

    async def _start(self) -> Ports:
        settings = self.settings
        check_port(settings.bind, settings.grpc_port, "grpc_port")
        check_port(settings.bind, settings.http_port, "http_port")
        self._ready_file.check()
        plan = await in_thread(lambda: SearchPlan.of(settings))
        self._tracing = open_tracing(settings)
        await self._open_tls()
        admin_port = open_port(settings.admin_bind, settings.admin_port, "admin_port")
        self._admin = HttpServer(
            create_admin_app(None, settings, self.state, plan), admin_port, connections=connections_within(ADMIN_SHARE)
        )
        self._ready_file.remove_stale()
        await self._admin.start()
        log.info("admin port open", address=settings.admin_bind, port=self._admin.port)

        bundles = await in_thread(lambda: open_bundles(settings))
        for bundle in bundles:
            log.info("bundle verified", bundle=bundle.manifest.name, fingerprint=bundle.fingerprint)
        load = _service_class(settings).load
        service = await in_thread(lambda: load(bundles, settings))
        begin = time.monotonic()
        await in_thread(service.warm_up)
        self._service = service
        metrics.watch(service)
        log.info("warmed up", seconds=round(time.monotonic() - begin, 3))

        if plan is not None:
            self._search = SearchService(plan, InProcessSidecar(service))
            self._search.open()
        connections = connections_within(DATA_SHARE)
        log.debug("connections limited", each_data_port=connections)
        self._http = HttpServer(
            create_http_app(service, settings, self.state, self._search),
            open_port(settings.bind, settings.http_port, "http_port"),
            connections=connections if self._tls is None else min(connections, MOST_CONNECTIONS),
            max_age=settings.http_max_connection_age,
            tls=None if self._tls is None else self._tls.http,
        )
        credentials = None if self._tls is None else self._tls.grpc_credentials()
        self._grpc = GrpcServer(service, settings, connections=connections, credentials=credentials)
        grpc_port = await self._grpc.start()
        # Whoever is told so by the probe may call at once: the HTTP port takes connections already.
        self.state.become_ready(service.models(), threads=service.threads, providers=service.providers)
        await self._http.start()
        ports = Ports(grpc_port, self._http.port, self._admin.port)
        self._ready_file.write(orjson.dumps(asdict(ports)))
        log.info("ready", address=settings.bind, **asdict(ports))
        return ports

    async def _open_tls(self) -> None:
        self._tls = await in_thread(lambda: Tls.load(self.settings))
        log.info("tls", **posture(self.settings), **({} if self._tls is None else self._tls.facts()))
        if self._tls is not None:
            self._tls.watch()

    async def _close_search(self) -> None:
        if self._search is not None:
            await self._search.close()
            self._search = None

    def _close_tls(self) -> None:
        if self._tls is not None:
            self._tls.close()
            self._tls = None


def _service_class(settings: Settings) -> type[InferenceService]:
    if settings.tracing == "off":
        return InferenceService
    from sidecar.server.tracing.service import TracedService

    return TracedService


def open_bundles(settings: Settings) -> tuple[Bundle, ...]:
    """Open and verify what `settings.models` names; the starters where it names nothing."""
    return tuple(Bundle.open(find_bundle(name)) for name in settings.models or STARTERS)
