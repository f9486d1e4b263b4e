"""The gRPC server: services, health, reflection, limits; start and orderly stop."""

from __future__ import annotations

import asyncio
from math import ceil

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sidecar.contract.transport import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, MIN_PING_INTERVAL_MS, SERVICES
from sidecar.domain import ModelInfo, ModelKind
from sidecar.errors import SettingsInvalid
from sidecar.inference import InferenceService
from sidecar.server.grpc.guard import Authentication, Guard, InFlight
from sidecar.server.grpc.services import ModelsService, RerankerService, SparseEncoderService
from sidecar.server.grpc.work import Work
from sidecar.settings import Settings
from sidecar.v1 import sidecar_pb2_grpc as rpc

__all__ = ["GrpcServer", "health_names"]

LINGER_SECONDS = 0.5
"""What the last answers get to leave the socket; also ends health watches, which would else last the whole grace."""

HANDSHAKE_MS = 10_000
"""How long a connection may take to show that it speaks HTTP/2; until then, it costs its sender nothing."""

SERVICE_OF_KIND = {
    ModelKind.SPARSE_ENCODER: "sidecar.v1.SparseEncoder",
    ModelKind.CROSS_ENCODER: "sidecar.v1.Reranker",
}


def health_names(models: tuple[ModelInfo, ...]) -> tuple[str, ...]:
    """Return what grpc.health.v1 can be asked about: the whole server, each service, `SERVICE/MODEL` for each model."""
    return ("", *SERVICES, *(f"{SERVICE_OF_KIND[model.kind]}/{model.name}" for model in models))


class GrpcServer:
    """Serves one InferenceService over gRPC, on at most so many `connections` at once; None: on as many as come.

    Usage:
        server = GrpcServer(service, settings, connections=100)
        port = await server.start()
        await server.announce_stop()        # health: NOT_SERVING; calls are still taken
        await server.stop(grace=20.0)
    """

    def __init__(
        self,
        service: InferenceService,
        settings: Settings,
        *,
        connections: int | None = None,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._service = service
        self._settings = settings
        self._connections = connections
        self._credentials = credentials
        self._draining = asyncio.Event()
        self._in_flight = InFlight()
        self._health = health.aio.HealthServicer()
        self._server = self._build()

    @property
    def in_flight(self) -> int:
        """Calls of `sidecar.v1` under way."""
        return self._in_flight.count

    async def start(self) -> int:
        """Open the port and serve; return its number. Raises SettingsInvalid where the port can't be had."""
        host = f"[{self._settings.bind}]" if ":" in self._settings.bind else self._settings.bind
        address = f"{host}:{self._settings.grpc_port}"
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise SettingsInvalid(
                f"The gRPC port {address} can't be opened: it is in use, or not an address of this machine.",
                field="grpc_port",
            ) from None
        for name in health_names(self._service.models()):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return port

    async def announce_stop(self) -> None:
        """Say NOT_SERVING from now on, and go on serving."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Take no new call, give those under way `grace` seconds, and return as soon as all are done."""
        await self.announce_stop()
        self._draining.set()
        stopping = asyncio.create_task(self._server.stop(grace))
        idle = asyncio.create_task(self._in_flight.idle())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await self._server.stop(LINGER_SECONDS)
        idle.cancel()
        await asyncio.gather(stopping, idle, return_exceptions=True)

    def _build(self) -> aio.Server:
        settings, limit = self._settings, self._connections
        interceptors: list[aio.ServerInterceptor] = [Guard(self._in_flight, settings.max_request_bytes)]
        if settings.auth_token is not None:
            interceptors.insert(0, Authentication(settings.auth_token.get_secret_value()))
        if settings.tracing != "off":
            from sidecar.server.tracing.grpc import TracingInterceptor

            interceptors.insert(0, TracingInterceptor())
        server = aio.server(
            interceptors=interceptors,
            options=(
                # Two processes on one port would share its calls at random.
                ("grpc.so_reuseport", 0),
                *([] if limit is None else [("grpc.max_allowed_incoming_connections", limit)]),
                *_ages(settings),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.max_receive_message_length", min(2 * settings.max_request_bytes, 2**31 - 1)),
                ("grpc.max_send_message_length", -1),
                ("grpc.keepalive_time_ms", 2 * KEEPALIVE_TIME_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
            ),
        )
        work = Work(self._service, settings)
        rpc.add_SparseEncoderServicer_to_server(SparseEncoderService(work, self._draining), server)
        rpc.add_RerankerServicer_to_server(RerankerService(work), server)
        rpc.add_ModelsServicer_to_server(ModelsService(work), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server


def _ages(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return the options by which a connection is given up at its age; none where it may last for ever."""
    if not settings.grpc_max_connection_age:
        return ()
    return (
        ("grpc.max_connection_age_ms", ceil(settings.grpc_max_connection_age * 1_000)),
        ("grpc.max_connection_age_grace_ms", ceil(settings.grpc_max_connection_age_grace * 1_000)),
    )
