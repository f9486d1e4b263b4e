"""What both ends of a channel must agree on."""

from __future__ import annotations

__all__ = [
    "AUTHORIZATION",
    "KEEPALIVE_TIMEOUT_MS",
    "KEEPALIVE_TIME_MS",
    "MAX_MESSAGE_BYTES",
    "MIN_PING_INTERVAL_MS",
    "SERVICES",
    "bearer",
]

from sidecar.v1 import sidecar_pb2 as pb

KEEPALIVE_TIME_MS = 30_000
"""A client pings after this long without traffic."""

KEEPALIVE_TIMEOUT_MS = 10_000
"""A peer that does not answer a ping for this long is gone."""

MIN_PING_INTERVAL_MS = 10_000
"""Below the client's interval with room for jitter: gRPC's default of 5 minutes answers GOAWAY `too_many_pings`."""

MAX_MESSAGE_BYTES = 268_435_456
"""What a client is ready to read and write; the server's own limit is a setting, and answers with a clear error."""

SERVICES: tuple[str, ...] = tuple(sorted(service.full_name for service in pb.DESCRIPTOR.services_by_name.values()))
"""Full names of the services of `sidecar.v1`."""

AUTHORIZATION = "authorization"
"""The metadata key of the bearer token."""


def bearer(token: str) -> str:
    """Return the value of the authorization metadata."""
    return f"Bearer {token}"
