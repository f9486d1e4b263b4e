"""At which ports `sidecar doctor` looks at certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.cli.connections import SidecarAddress
from sidecar.cli.doctor import _https_port, _secured_port
from sidecar.errors import InvalidInput


@pytest.mark.parametrize(
    ("http", "ports"),
    [
        (None, []),
        ("http://127.0.0.1:8080", []),
        ("https://sidecar.search.svc:8443/", [("sidecar.search.svc", 8443)]),
        ("https://[::1]:8443", [("::1", 8443)]),
        ("https://sidecar.example", [("sidecar.example", 443)]),
    ],
)
def test_an_http_address_has_a_certificate_where_it_is_https(http: str | None, ports: list[tuple[str, int]]) -> None:
    assert list(_https_port(http)) == ports


@pytest.mark.parametrize("http", ["", "sidecar:8080", "https://[::1:8443", "https://sidecar:x", "ftp://sidecar"])
def test_an_http_address_that_is_none_is_told(http: str) -> None:
    with pytest.raises(InvalidInput, match="--http is the address"):
        list(_https_port(http))


@pytest.mark.parametrize(
    ("target", "ports"),
    [
        ("sidecar:50051", [("sidecar", 50_051)]),
        (" [::1]:50051 ", [("::1", 50_051)]),
        ("dns:///sidecar-headless.search.svc:50051", [("sidecar-headless.search.svc", 50_051)]),
        ("unix:/run/sidecar.sock", []),
        ("ipv4:10.0.0.1:50051,10.0.0.2:50051", []),
        ("sidecar", []),
    ],
)
@pytest.mark.parametrize("secured", [{"tls": True}, {"ca": Path("ca.crt")}, {"cert": Path("a"), "key": Path("b")}, {}])
def test_a_grpc_address_has_a_certificate_where_tls_was_asked_for(
    target: str, ports: list[tuple[str, int]], secured: dict[str, object]
) -> None:
    assert list(_secured_port(SidecarAddress(target, **secured))) == (ports if secured else [])
