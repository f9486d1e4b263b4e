"""The channel to a sidecar: retry policy by service config, keepalive, message sizes, TLS."""

from __future__ import annotations

import re

import orjson
from grpc import aio, ssl_channel_credentials

from sidecar.contract.transport import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, MAX_MESSAGE_BYTES
from sidecar.domain import JsonObject

__all__ = ["SERVICE_CONFIG", "open_channel"]

UNARY_METHODS = (
    ("sidecar.v1.SparseEncoder", "Encode"),
    ("sidecar.v1.Reranker", "Rerank"),
    ("sidecar.v1.Reranker", "RerankBatch"),
    ("sidecar.v1.Models", "List"),
    ("sidecar.v1.Models", "Get"),
    ("grpc.health.v1.Health", "Check"),
)
"""Calls without side effects that gRPC may send again. Streams are resumed by the library instead."""

SERVICE_CONFIG: JsonObject = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": service, "method": method} for service, method in UNARY_METHODS],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
}
"""gRPC service config of every channel (grpc/service_config/service_config.proto).

Only UNAVAILABLE is sent again by gRPC itself, and no longer once half the throttling tokens are used up, so that a
dead sidecar is not hammered. RESOURCE_EXHAUSTED is left to the library, which honours the server's RetryInfo.
"""

LOOPBACK = re.compile(r"(?:dns:/{0,3}|ipv4:|ipv6:)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?", re.IGNORECASE)
"""Targets on this machine, or in this pod."""

OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.service_config", orjson.dumps(SERVICE_CONFIG).decode()),
    ("grpc.enable_retries", 1),
    # gRPC gives up sending again what does not fit this buffer; the default holds a few hundred texts.
    ("grpc.per_rpc_retry_buffer_size", 64 * 2**20),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    # A restarted sidecar is found again within seconds; the defaults wait up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    # Two clients of one process and target are two connections: closing one must not disturb the other.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(
    target: str,
    *,
    root_certificates: bytes | None,
    tls: bool,
    server_name: str | None,
    certificate_chain: bytes | None = None,
    private_key: bytes | None = None,
) -> aio.Channel:
    """Open a channel to `target` (`host:port` or a gRPC name such as `dns:///sidecar:50051`); connects on first use.

    `root_certificates` (PEM) or `tls` ask for TLS; `tls` alone trusts the roots that gRPC brings. `server_name` is
    the name the server's certificate must have where it differs from the target's. `certificate_chain` and
    `private_key` (PEM) are what the client shows, and ask for TLS too.
    """
    options: list[tuple[str, int | str]] = list(OPTIONS)
    if LOOPBACK.fullmatch(target.strip()):
        # gRPC would send the call to the environment's `http_proxy`, whose own loopback interface is another one.
        options.append(("grpc.enable_http_proxy", 0))
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    if root_certificates is None and private_key is None and not tls:
        return aio.insecure_channel(target, options=options)
    credentials = ssl_channel_credentials(root_certificates, private_key, certificate_chain)
    return aio.secure_channel(target, credentials, options=options)
