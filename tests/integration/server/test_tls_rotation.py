"""Certificates that are replaced under a sidecar that serves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
import trustme

from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.errors import SidecarUnavailable
from sidecar.server.process import SidecarProcess
from sidecar.server.tls import rotation
from tests.support.certificates import Identity, Secret, authority_pem, issued
from tests.support.sidecars import StartSidecar
from tests.support.tls import TEXTS, eventually, http_status, metric, over_tls, shown_serial, trusting

pytestmark = pytest.mark.integration


async def test_a_new_certificate_is_for_new_connections_and_open_ones_go_on(
    start_sidecar: StartSidecar, often: None, secret: Secret, authority: trustme.CA, clients: trustme.CA, tmp_path: Path
) -> None:
    server = await start_sidecar(**over_tls(secret))
    old = await asyncio.to_thread(shown_serial, server.grpc_port)
    assert await asyncio.to_thread(shown_serial, server.http_port) == old
    new = issued(authority, days=60)
    going_on = asyncio.Event()

    async def batches() -> AsyncIterator[Sequence[str]]:
        yield TEXTS
        await going_on.wait()
        yield TEXTS

    async with (
        AsyncSidecarClient(server.target, root_certificates=authority_pem(authority), timeout=60.0) as client,
        httpx.AsyncClient(verify=trusting(authority), timeout=60.0, trust_env=False) as http,
    ):
        # One resumption more than none would hide a connection that was cut.
        outcomes = client.encode_stream(batches(), resumptions=0)
        assert (await anext(outcomes)).unwrap().encodings
        url = f"https://127.0.0.1:{server.http_port}/v1/models"
        before = (await http.get(url)).extensions["network_stream"].get_extra_info("ssl_object")

        secret.replace(new, authority_pem(clients))
        await eventually(lambda: shown_serial(server.http_port) == shown_serial(server.grpc_port) == new.serial)

        going_on.set()
        assert (await anext(outcomes)).unwrap().encodings
        assert [outcome async for outcome in outcomes] == []
        after = (await http.get(url)).extensions["network_stream"].get_extra_info("ssl_object")
        assert after is before, "the connection was opened anew"
    assert old != new.serial
    assert await asyncio.to_thread(metric, server, "server") == new.expires_at


async def test_a_new_authority_of_clients_is_for_new_connections(
    start_sidecar: StartSidecar, often: None, secret: Secret, authority: trustme.CA, clients: trustme.CA, tmp_path: Path
) -> None:
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities))
    later = trustme.CA()
    known, newcomer = issued(clients), issued(later)

    def enters(identity: Identity) -> bool:
        context = trusting(authority, identity, tmp_path)
        try:
            over_http = http_status(server, context) == 200
        except httpx.TransportError:
            over_http = False
        with SidecarClient(
            server.target,
            root_certificates=authority_pem(authority),
            certificate_chain=identity.certificate,
            private_key=identity.key,
            timeout=60.0,
        ) as client:
            try:
                over_grpc = bool(client.encode(TEXTS).encodings)
            except SidecarUnavailable:
                over_grpc = False
        assert over_http == over_grpc
        return over_http

    assert await asyncio.to_thread(enters, known)
    assert not await asyncio.to_thread(enters, newcomer)
    new = issued(authority, days=60)
    secret.replace(new, authority_pem(later))
    await eventually(lambda: metric(server, "server") == new.expires_at)
    assert await asyncio.to_thread(enters, newcomer)
    assert not await asyncio.to_thread(enters, known)


async def test_a_bad_new_pair_keeps_the_old_one_and_is_one_line(
    secret: Secret, authority: trustme.CA, clients: trustme.CA, tiny_sparse_bundle: Path
) -> None:
    settings = {"threads": 1, "tls_certificate": secret.certificate, "tls_key": secret.key}
    with SidecarProcess([tiny_sparse_bundle], settings=settings) as process:
        port = int(process.target.rpartition(":")[2])
        old = shown_serial(port)
        good = issued(authority)
        secret.replace(Identity(good.certificate, issued(authority).key), authority_pem(clients))
        await eventually(lambda: "the new certificate is refused" in process.log_text())
        assert shown_serial(port) == old
        # It was looked at once more by then, and nothing said again.
        await asyncio.sleep(1.2 * rotation.LOOK_SECONDS)
        assert shown_serial(port) == old
        (line,) = [one for one in process.log_text().splitlines() if "refused" in one]
        assert "does not fit" in line
        secret.replace(good, authority_pem(clients))
        await eventually(lambda: shown_serial(port) == good.serial)
        assert "certificate replaced" in process.log_text()
        key = good.key.splitlines()[1].decode()
        assert key not in process.log_text()
        assert process.http_url.startswith("https://")


async def test_files_on_a_mount_that_hangs_hold_up_neither_calls_nor_the_end(
    secret: Secret, tiny_sparse_bundle: Path, authority: trustme.CA
) -> None:
    settings = {"threads": 1, "tls_certificate": secret.certificate, "tls_key": secret.key}
    with SidecarProcess([tiny_sparse_bundle], settings=settings) as process:
        secret.key.unlink()
        # Whoever opens it for reading waits for a writer.
        os.mkfifo(secret.key)
        await asyncio.sleep(1.2 * rotation.LOOK_SECONDS)
        with SidecarClient(process.target, root_certificates=authority_pem(authority), timeout=60.0) as client:
            assert client.encode(TEXTS).encodings
        begin = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - begin < 20.0
