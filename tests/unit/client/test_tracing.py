"""What a call's span says of where the call goes."""

from __future__ import annotations

import pytest

from sidecar.client._tracing import traced_call


@pytest.mark.parametrize(
    ("target", "address", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("sidecar:50051", "sidecar", 50051),
        ("dns:///sidecar-headless:50051", "sidecar-headless", 50051),
        ("dns://10.0.0.1/sidecar:1", "sidecar", 1),
        ("[::1]:50051", "::1", 50051),
        ("sidecar", "sidecar", None),
        ("unix:///run/sidecar.sock", "unix:///run/sidecar.sock", None),
    ],
)
def test_the_address(spans_here, target: str, address: str, port: int | None) -> None:
    with traced_call("sidecar.v1.Models/List", target):
        pass
    (span,) = spans_here.get_finished_spans()
    assert span.attributes["server.address"] == address
    assert span.attributes.get("server.port") == port
