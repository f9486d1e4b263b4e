"""What is said of the data ports: which ask for a certificate, and which are open to whoever reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.server.tls import posture, warnings
from sidecar.settings import Settings

TLS = {"tls_certificate": Path("c.pem"), "tls_key": Path("k.pem")}
MUTUAL = {**TLS, "tls_client_ca": Path("ca.pem")}
GRPC_ONLY = {**MUTUAL, "tls_http_mutual": False}
TOKEN = {"auth_token": "secret"}

OPEN = "open to the network without a token"
HTTP_OPEN = "the HTTP port is open to the network without a token or client certificates"
READABLE = "the token crosses the network unencrypted: set tls_certificate and tls_key"


@pytest.mark.parametrize(
    ("given", "grpc", "http"),
    [({}, "off", "off"), (TLS, "on", "on"), (MUTUAL, "mutual", "mutual"), (GRPC_ONLY, "mutual", "on")],
)
def test_each_port_is_off_on_or_mutual(given: dict[str, object], grpc: str, http: str) -> None:
    assert posture(Settings(**given)) == {"grpc": grpc, "http": http}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, [OPEN]),
        (TLS, [OPEN]),
        (MUTUAL, []),
        (GRPC_ONLY, [HTTP_OPEN]),
        ({**GRPC_ONLY, **TOKEN}, []),
        (TOKEN, [READABLE]),
        ({**TLS, **TOKEN}, []),
    ],
)
def test_a_port_that_others_reach_is_warned_of_where_it_lacks_something(
    given: dict[str, object], said: list[str]
) -> None:
    assert list(warnings(Settings(**given, bind="0.0.0.0"))) == said
    assert list(warnings(Settings(**given))) == []
    assert list(warnings(Settings(**given, bind="::1"))) == []
