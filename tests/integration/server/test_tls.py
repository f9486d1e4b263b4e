"""TLS and mutual TLS on the data ports of a real sidecar, and certificates that are replaced under its calls."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from cryptography import x509

from sidecar.cli.connections import SidecarAddress
from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.cluster.doctor import check_routes
from sidecar.errors import SettingsInvalid, SidecarUnavailable, Unauthenticated
from sidecar.server.process import SidecarProcess
from sidecar.server.tls import rotation
from tests.support.certificates import Identity, Secret, authority_pem, issued
from tests.support.sidecars import InProcess, StartSidecar

pytestmark = pytest.mark.integration

TEXTS = ["some text"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secret(tmp_path: Path, authority: trustme.CA, clients: trustme.CA) -> Secret:
    return Secret(tmp_path / "tls", issued(authority), authority_pem(clients))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are looked at ten times a second."""
    monkeypatch.setattr(rotation, "LOOK_SECONDS", 0.1)


def over_tls(secret: Secret, **more: object) -> dict[str, object]:
    return {"tls_certificate": secret.certificate, "tls_key": secret.key, **more}


def trusting(authority: trustme.CA, identity: Identity | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """What an HTTP client trusts, and what it shows."""
    context = ssl.create_default_context(cadata=authority_pem(authority).decode())
    if identity is not None and folder is not None:
        context.load_cert_chain(*identity.write(folder, "client"))
    return context


def http_status(server: InProcess, context: ssl.SSLContext) -> int:
    url = f"https://127.0.0.1:{server.http_port}/v1/encode"
    return httpx.post(url, json={"texts": TEXTS}, verify=context, timeout=60.0, trust_env=False).status_code


def shown_serial(port: int) -> int:
    """The serial number of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=30.0)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


def metric(server: InProcess, certificate: str) -> float:
    name = f'sidecar_tls_certificate_expiration_timestamp_seconds{{certificate="{certificate}"}}'
    text = httpx.get(f"{server.admin_url}/metrics", timeout=30.0).text
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


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


# --- certificates that are replaced -------------------------------------------------------------------------------


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
        # Twice the time in which it would be said again.
        await asyncio.sleep(2 * rotation.LOOK_SECONDS)
        assert shown_serial(port) == old
        (line,) = [one for one in process.log_text().splitlines() if "refused" in one]
        assert "does not fit" in line
        secret.replace(good, authority_pem(clients))
        await eventually(lambda: shown_serial(port) == good.serial)
        assert "certificate replaced" in process.log_text()
        key = good.key.splitlines()[1].decode()
        assert key not in process.log_text()
        assert process.http_url.startswith("https://")


# --- connections ---------------------------------------------------------------------------------------------------


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
