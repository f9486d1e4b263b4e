"""What `sidecar doctor` makes of a sidecar that speaks TLS: its routes, and how long its certificates hold."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from sidecar.cli.connections import SidecarAddress
from sidecar.cluster.doctor import Severity, check_certificates, check_routes
from tests.support.certificates import Secret, authority_pem, chained, issued
from tests.support.sidecars import StartSidecar
from tests.support.tls import over_tls

pytestmark = pytest.mark.integration


async def test_doctor_calls_the_routes_of_connectors_over_tls(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA, clients: trustme.CA, tmp_path: Path
) -> None:
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities))
    (tmp_path / "authority.crt").write_bytes(authority_pem(authority))
    certificate, key = issued(clients).write(tmp_path, "doctor")
    address = SidecarAddress("", ca=tmp_path / "authority.crt", cert=certificate, key=key)
    endpoint = f"https://127.0.0.1:{server.http_port}"
    assert await check_routes(endpoint, tls=address.https()) == ()
    assert await check_routes(endpoint, tls=address.https(), server_name="localhost") == ()
    for found in (
        await check_routes(endpoint),
        await check_routes(endpoint, tls=SidecarAddress("", ca=address.ca).https()),
        await check_routes(endpoint, tls=address.https(), server_name="other.test"),
    ):
        assert [one.check for one in found] == ["connector", "connector"]
        assert "does not answer" in found[0].what


@pytest.mark.parametrize(
    ("days", "intermediate_days", "severity", "said"),
    [
        (30.0, 30.0, None, ""),
        (3.0, 30.0, Severity.WARNING, "The certificate that is shown at"),
        (30.0, 3.0, Severity.WARNING, "authority (intermediate 0), which is shown after the server's own, at"),
        (3.0, 2.0, Severity.WARNING, "intermediate 0"),
        (30.0, -1.0, Severity.ERROR, "expired at"),
    ],
)
async def test_doctor_tells_of_the_certificate_that_ends_first(
    start_sidecar: StartSidecar,
    secret: Secret,
    authority: trustme.CA,
    clients: trustme.CA,
    days: float,
    intermediate_days: float,
    severity: Severity | None,
    said: str,
) -> None:
    identity = chained(authority, timedelta(days=intermediate_days), ends=timedelta(days=days))
    secret.replace(identity, authority_pem(clients))
    server = await start_sidecar(**over_tls(secret))
    for port in (server.http_port, server.grpc_port):
        found = await check_certificates("127.0.0.1", port, ssl.create_default_context())
        assert [one.severity for one in found] == ([] if severity is None else [severity])
        assert all(said in one.what and f"127.0.0.1:{port}" in one.what for one in found)
        assert all("without a restart" in one.action for one in found)


async def test_doctor_sees_dates_where_clients_show_a_certificate_and_none_where_nobody_speaks_tls(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA, clients: trustme.CA, tmp_path: Path
) -> None:
    secret.replace(chained(authority, timedelta(days=3)), authority_pem(clients))
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities))
    certificate, key = issued(clients).write(tmp_path, "doctor")
    address = SidecarAddress("", cert=certificate, key=key)
    for port in (server.http_port, server.grpc_port):
        context = address.https()
        assert context is not None
        assert len(await check_certificates("127.0.0.1", port, context)) == 1
    for port in (server.admin_port, 1):
        assert await check_certificates("127.0.0.1", port, ssl.create_default_context()) == ()
