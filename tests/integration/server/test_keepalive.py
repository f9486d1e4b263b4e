"""Clients that ping a quiet connection, as ours do, are not hung up on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.bundle import Bundle
from sidecar.inference import InferenceService
from sidecar.server.grpc import server as server_module
from sidecar.server.grpc.server import GrpcServer
from sidecar.settings import load_settings

pytestmark = pytest.mark.integration

PINGS = (
    ("grpc.keepalive_time_ms", 300),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


@pytest.mark.parametrize(("interval_ms", "kept"), [(100, True), (60_000, False)])
async def test_the_interval_between_pings_is_the_one_that_was_set(
    tiny_bundles: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, interval_ms: int, kept: bool
) -> None:
    monkeypatch.setattr(server_module, "MIN_PING_INTERVAL_MS", interval_ms)
    settings = load_settings(threads=1, grpc_port=0, http_port=0, admin_port=0)
    service = InferenceService.load([Bundle.open(tiny_bundles[0])], settings)
    server = GrpcServer(service, settings)
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}", options=PINGS) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            hung_up = asyncio.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
            done, _ = await asyncio.wait({hung_up}, timeout=5.0)
            assert bool(done) is not kept
            hung_up.cancel()
            await asyncio.gather(hung_up, return_exceptions=True)
    finally:
        await server.stop(0.0)
        service.close()
