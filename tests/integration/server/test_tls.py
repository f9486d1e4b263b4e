"""TLS and mutual TLS on the data ports of a real sidecar."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import grpc
import httpx
import pytest
import trustme

from sidecar.client import AsyncSidecarClient
from sidecar.errors import SettingsInvalid, SidecarUnavailable, Unauthenticated
from sidecar.server import files
from sidecar.server.process import SidecarProcess
from sidecar.server.tls import MOST_CONNECTIONS
from tests.support.certificates import Identity, Secret, authority_pem, issued
from tests.support.sidecars import StartSidecar
from tests.support.tls import TEXTS, http_status, over_tls, trusting

pytestmark = pytest.mark.integration


async def test_both_data_ports_speak_tls_and_nothing_else(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA, clients: trustme.CA
) -> None:
    server = await start_sidecar(**over_tls(secret, auth_token="token"))
    trusted = authority_pem(authority)
    async with AsyncSidecarClient(
        f"localhost:{server.grpc_port}", root_certificates=trusted, token="token", timeout=60.0
    ) as client:
        assert (await client.encode(TEXTS)).encodings
    for wrong in (
        AsyncSidecarClient(server.target, timeout=60.0),
        AsyncSidecarClient(server.target, root_certificates=authority_pem(clients), timeout=60.0),
        AsyncSidecarClient(server.target, root_certificates=trusted, server_name="other.test", timeout=60.0),
    ):
        async with wrong:
            with pytest.raises(SidecarUnavailable, match="Do both ends speak TLS"):
                await wrong.encode(TEXTS)

    context = trusting(authority)
    assert await asyncio.to_thread(http_status, server, context) == 401
    async with httpx.AsyncClient(verify=context, timeout=60.0, trust_env=False) as http:
        url = f"https://localhost:{server.http_port}/v1/encode"
        answer = await http.post(url, json={"texts": TEXTS}, headers={"authorization": "Bearer token"})
        assert answer.status_code == 200
        assert answer.http_version == "HTTP/1.1"
        with pytest.raises(httpx.TransportError):
            await http.get(server.http_url)
        # Probes and scrapers have no certificate: the admin port has none either.
        info = (await http.get(f"{server.admin_url}/buildinfo")).json()
    assert info["tls"] == {"grpc": "on", "http": "on"}
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await asyncio.to_thread(http_status, server, trusting(clients))


async def test_mutual_tls_lets_in_who_shows_a_certificate_of_the_authority(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA, clients: trustme.CA, tmp_path: Path
) -> None:
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities))
    trusted = authority_pem(authority)
    known, stranger = issued(clients), issued(authority)
    async with AsyncSidecarClient(
        server.target,
        root_certificates=trusted,
        certificate_chain=known.certificate,
        private_key=known.key,
        timeout=60.0,
    ) as client:
        assert (await client.encode(TEXTS)).encodings
        async for outcome in client.encode_stream([TEXTS, TEXTS]):
            assert outcome.unwrap().encodings
    for refused in (
        AsyncSidecarClient(server.target, root_certificates=trusted, timeout=60.0),
        AsyncSidecarClient(
            server.target,
            root_certificates=trusted,
            certificate_chain=stranger.certificate,
            private_key=stranger.key,
            timeout=60.0,
        ),
    ):
        async with refused:
            with pytest.raises(SidecarUnavailable, match="ask for a client certificate"):
                await refused.encode(TEXTS)

    assert await asyncio.to_thread(http_status, server, trusting(authority, known, tmp_path)) == 200
    for context in (trusting(authority), trusting(authority, stranger, tmp_path)):
        with pytest.raises(httpx.TransportError):
            await asyncio.to_thread(http_status, server, context)
    async with httpx.AsyncClient(timeout=30.0) as http:
        info = (await http.get(f"{server.admin_url}/buildinfo")).json()
    assert info["tls"] == {"grpc": "mutual", "http": "mutual"}


async def test_an_intermediate_authority_of_clients_needs_no_root(
    start_sidecar: StartSidecar, authority: trustme.CA, tmp_path: Path
) -> None:
    root = trustme.CA()
    between = root.create_child_ca()
    secret = Secret(tmp_path / "tls", issued(authority), authority_pem(between))
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities))
    for identity, let_in in ((issued(between), True), (issued(root), False)):
        over_http = over_grpc = True
        try:
            await asyncio.to_thread(http_status, server, trusting(authority, identity, tmp_path))
        except httpx.TransportError:
            over_http = False
        async with AsyncSidecarClient(
            server.target,
            root_certificates=authority_pem(authority),
            certificate_chain=identity.certificate,
            private_key=identity.key,
            timeout=60.0,
        ) as client:
            try:
                await client.encode(TEXTS)
            except SidecarUnavailable:
                over_grpc = False
        assert (over_http, over_grpc) == (let_in, let_in)


async def test_files_that_windows_wrote_are_served_with_at_both_ports(
    start_sidecar: StartSidecar, authority: trustme.CA, tmp_path: Path
) -> None:
    unix = issued(authority)
    windows = Identity(*(b"\xef\xbb\xbf" + part.replace(b"\n", b"\r\n") for part in (unix.certificate, unix.key)))
    server = await start_sidecar(**over_tls(Secret(tmp_path / "tls", windows, b"")))
    assert await asyncio.to_thread(http_status, server, trusting(authority)) == 200
    async with AsyncSidecarClient(server.target, root_certificates=authority_pem(authority), timeout=60.0) as client:
        assert (await client.encode(TEXTS)).encodings


async def test_the_http_port_may_do_without_client_certificates(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA
) -> None:
    settings = over_tls(secret, tls_client_ca=secret.authorities, tls_http_mutual=False, auth_token="token")
    server = await start_sidecar(**settings)
    assert await asyncio.to_thread(http_status, server, trusting(authority)) == 401, "the token is asked for"
    async with AsyncSidecarClient(
        server.target, root_certificates=authority_pem(authority), token="token", timeout=60.0
    ) as client:
        with pytest.raises(SidecarUnavailable):
            await client.encode(TEXTS)


async def test_a_certificate_is_no_token(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA, clients: trustme.CA
) -> None:
    server = await start_sidecar(**over_tls(secret, tls_client_ca=secret.authorities, auth_token="token"))
    known = issued(clients)
    async with AsyncSidecarClient(
        server.target,
        root_certificates=authority_pem(authority),
        certificate_chain=known.certificate,
        private_key=known.key,
        timeout=60.0,
    ) as client:
        with pytest.raises(Unauthenticated):
            await client.encode(TEXTS)


@pytest.mark.parametrize(
    ("oldest", "version", "fits"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_the_oldest_version_of_the_http_port(
    start_sidecar: StartSidecar,
    secret: Secret,
    authority: trustme.CA,
    oldest: str,
    version: ssl.TLSVersion,
    fits: bool,
) -> None:
    server = await start_sidecar(**over_tls(secret, tls_min_version=oldest))
    context = trusting(authority)
    context.maximum_version = version
    if fits:
        assert await asyncio.to_thread(http_status, server, context) == 200
    else:
        with pytest.raises(httpx.ConnectError):
            await asyncio.to_thread(http_status, server, context)


async def test_what_is_no_pair_ends_the_start(start_sidecar: StartSidecar, secret: Secret, tmp_path: Path) -> None:
    (tmp_path / "other.key").write_bytes(issued(trustme.CA()).key)
    with pytest.raises(SettingsInvalid, match="does not fit") as raised:
        await start_sidecar(**{**over_tls(secret), "tls_key": tmp_path / "other.key"})
    assert raised.value.field == "tls_key"


async def test_the_http_port_takes_no_more_connections_than_a_pod_has_memory_for(
    start_sidecar: StartSidecar, secret: Secret
) -> None:
    server = await start_sidecar(**over_tls(secret))
    assert server.lifecycle._http._server.server_state._limit <= MOST_CONNECTIONS < files.MOST_CONNECTIONS


async def test_idle_connections_do_not_hold_up_the_end(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA
) -> None:
    server = await start_sidecar(**over_tls(secret, drain_grace=60.0))
    async with httpx.AsyncClient(verify=trusting(authority), timeout=60.0, trust_env=False) as http:
        assert (await http.get(f"https://127.0.0.1:{server.http_port}/v1/models")).status_code == 200
        silent = socket.create_connection(("127.0.0.1", server.http_port))
        await asyncio.sleep(0.1)
        begin = time.monotonic()
        await server.lifecycle.stop()
        assert time.monotonic() - begin < 30.0
        silent.close()


async def test_a_request_in_one_packet_with_the_end_of_the_handshake_is_answered(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA
) -> None:
    server = await start_sidecar(**over_tls(secret))

    def at_once() -> bytes:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting(authority).wrap_bio(back, there, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=30.0) as connection:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(there.read())
                    back.write(connection.recv(65_536))
            client.write(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            connection.sendall(there.read())
            while received := connection.recv(65_536):
                back.write(received)
        return client.read(65_536)

    assert (await asyncio.to_thread(at_once)).startswith(b"HTTP/1.1 200 OK")


async def test_a_large_answer_arrives_whole_though_the_connection_is_to_close(
    start_sidecar: StartSidecar, secret: Secret, authority: trustme.CA
) -> None:
    server = await start_sidecar(**over_tls(secret))
    body = {"texts": [f"some text {number} about the search" for number in range(3_000)], "return_terms": True}

    def fetch(scheme_context: ssl.SSLContext) -> httpx.Response:
        url = f"https://127.0.0.1:{server.http_port}/v1/encode"
        headers = {"connection": "close"}
        return httpx.post(url, json=body, headers=headers, verify=scheme_context, timeout=120.0, trust_env=False)

    answer = await asyncio.to_thread(fetch, trusting(authority))
    assert answer.status_code == 200
    assert len(answer.json()["encodings"]) == 3_000


def test_grpc_of_another_make_is_spoken_to_as_well(
    secret: Secret, authority: trustme.CA, tiny_sparse_bundle: Path
) -> None:
    settings = {"threads": 1, "tls_certificate": secret.certificate, "tls_key": secret.key}
    with SidecarProcess([tiny_sparse_bundle], settings=settings) as process:
        credentials = grpc.ssl_channel_credentials(authority_pem(authority))
        with grpc.secure_channel(process.target, credentials) as channel:
            grpc.channel_ready_future(channel).result(timeout=60.0)
        # A stranger's failed handshakes are not worth a line, and above all none that is no JSON.
        with grpc.insecure_channel(process.target) as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=2.0)
        with pytest.raises(httpx.TransportError):
            httpx.get(process.http_url.replace("https", "http"), timeout=30.0, trust_env=False)
        lines = process.log_text().splitlines()
        assert all(line.startswith("{") for line in lines)
        assert any('"event":"tls"' in line and '"grpc":"on"' in line for line in lines)
