"""The service config names calls that exist, and lets gRPC repeat only what is safe to repeat."""

from __future__ import annotations

from typing import Any

import grpc
import orjson
import pytest

from sidecar.client import SERVICE_CONFIG, AsyncSidecarClient, SidecarClient
from sidecar.client._channel import LOOPBACK, OPTIONS, open_channel
from sidecar.contract.transport import KEEPALIVE_TIME_MS, MIN_PING_INTERVAL_MS, SERVICES
from sidecar.errors import InvalidInput
from sidecar.v1 import sidecar_pb2 as pb


def methods() -> list[dict[str, Any]]:
    config: Any = SERVICE_CONFIG
    (entry,) = config["methodConfig"]
    return list(entry["name"])


def test_every_unary_call_of_the_contract_is_repeated_and_no_stream() -> None:
    listed = {(name["service"], name["method"]) for name in methods()}
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            streaming = method.client_streaming or method.server_streaming
            assert ((service.full_name, method.name) in listed) == (not streaming), method.full_name
            if not streaming:
                # NO_SIDE_EFFECTS is what makes it safe to send a call twice.
                assert method.GetOptions().idempotency_level == 1, method.full_name


def test_only_unavailable_is_repeated() -> None:
    config: Any = SERVICE_CONFIG
    policy = config["methodConfig"][0]["retryPolicy"]
    assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert 2 <= policy["maxAttempts"] <= 5  # gRPC takes more for 5
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert config["retryThrottling"]["maxTokens"] > 0


def test_the_config_reaches_the_channel() -> None:
    assert orjson.loads(str(dict(OPTIONS)["grpc.service_config"])) == SERVICE_CONFIG


def test_a_clients_pings_are_welcome_at_the_server() -> None:
    # Otherwise the server answers GOAWAY too_many_pings.
    assert dict(OPTIONS)["grpc.keepalive_time_ms"] == KEEPALIVE_TIME_MS
    assert MIN_PING_INTERVAL_MS < KEEPALIVE_TIME_MS


def test_the_services_are_those_of_the_contract() -> None:
    assert SERVICES == ("sidecar.v1.Models", "sidecar.v1.Reranker", "sidecar.v1.SparseEncoder")


@pytest.mark.parametrize("tls", [True, False])
async def test_a_channel_opens_without_a_server(tls: bool) -> None:
    channel = open_channel("127.0.0.1:1", root_certificates=None, tls=tls, server_name="name" if tls else None)
    assert channel.get_state() is grpc.ChannelConnectivity.IDLE
    await channel.close()


CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"
ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n"


@pytest.mark.parametrize("client", [AsyncSidecarClient, SidecarClient])
@pytest.mark.parametrize(
    ("certificate", "key", "field"),
    [
        (CERTIFICATE, None, "private_key"),
        (None, KEY, "certificate_chain"),
        (KEY, KEY, "certificate_chain"),
        (CERTIFICATE, CERTIFICATE, "private_key"),
        (CERTIFICATE, ENCRYPTED, "private_key"),
    ],
)
def test_half_an_identity_is_refused_when_the_client_is_made(
    client: type[AsyncSidecarClient | SidecarClient], certificate: bytes | None, key: bytes | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        client("127.0.0.1:1", certificate_chain=certificate, private_key=key)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("target", "here"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:50051", True),
        ("LocalHost", True),
        ("[::1]:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("ipv6:[::1]:50051", True),
        ("dns:///localhost:50051", True),
        ("127.0.0.1.example.com:50051", False),
        ("localhost.example.com:50051", False),
        ("dns:///search-headless.encoders.svc:50051", False),
        ("10.0.0.1:50051", False),
    ],
)
def test_targets_on_this_machine_are_told_from_others(target: str, here: bool) -> None:
    assert (LOOPBACK.fullmatch(target) is not None) == here
