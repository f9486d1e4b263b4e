"""What an operator is told where no connection to a cluster comes about: real handshakes on the loopback interface."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from sidecar.engine import Engine
from sidecar.engine.connection_failures import _of_certificate, without_connection
from sidecar.errors import EngineUnavailable
from tests.support.certificates import Identity, authority_pem, chained, issued
from tests.support.loopback import listening

Shown = Callable[[trustme.CA], Identity]


async def nothing(_request: web.Request) -> web.Response:
    return web.json_response({})


def serving(identity: Identity, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.write(folder, "server"))
    return context


async def told(url: str, authority: trustme.CA, folder: Path) -> str:
    trusted = folder / "ca.pem"
    trusted.write_bytes(authority_pem(authority))
    with pytest.raises(EngineUnavailable) as caught:
        await Engine.connect(url, ca_certificates=trusted, timeout=20.0)
    assert url in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (lambda authority: chained(authority, ends=timedelta(days=-1)), "it shows has expired: have it renewed there"),
        (lambda authority: chained(authority, timedelta(days=-1)), "it shows has expired: have it renewed there"),
        (lambda _: issued(trustme.CA()), "is not signed by a known authority (unable to get local issuer certificate)"),
    ],
    ids=["expired", "an expired authority", "unknown authority"],
)
async def test_a_certificate_is_refused_for_what_is_wrong_with_it(shown: Shown, said: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    async with listening(nothing, tls=serving(shown(authority), tmp_path)) as url:
        message = await told(url, authority, tmp_path)
    assert message.startswith(f"TLS to {url} failed: ")
    assert said in message


async def test_another_name_is_told_from_an_unknown_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("search.example")
    identity = Identity(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())
    async with listening(nothing, tls=serving(identity, tmp_path)) as url:
        for address in (url, url.replace("127.0.0.1", "localhost")):
            assert "does not name that address" in await told(address, authority, tmp_path)


async def test_a_port_of_plain_http_is_asked_for(tmp_path: Path) -> None:
    async with listening(nothing) as url:
        message = await told(url.replace("http:", "https:"), trustme.CA(), tmp_path)
    assert "does that port speak plain HTTP" in message


async def test_https_is_asked_for_where_a_port_of_tls_closes_a_plain_connection(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with listening(nothing, tls=serving(issued(authority), tmp_path)) as url:
        message = await told(url.replace("https:", "http:"), authority, tmp_path)
    assert message.endswith("Where it always does: does it speak https?")


async def test_a_connection_that_is_reset_is_one_that_is_closed(tmp_path: Path) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What was sent is left unread.
        writer.close()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert "closed the connection without an answer" in await told(address, trustme.CA(), tmp_path)


async def test_a_certificate_of_the_clients_is_asked_for(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = serving(issued(authority), tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    async with listening(nothing, tls=context) as url:
        assert "client certificate" in await told(url, authority, tmp_path)


def test_a_certificate_that_is_not_valid_yet_asks_for_the_clocks() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate is not yet valid")
    refused.verify_code, refused.verify_message = 9, "certificate is not yet valid"
    assert _of_certificate(refused).endswith("compare the clocks of both machines")
    assert _of_certificate(OSError("x")) == "its certificate is not signed by a known authority"


def test_a_refusal_by_the_other_side_is_no_unknown_authority() -> None:
    met = OSError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2706)")
    message = without_connection(met, "https://c").message
    assert "does it ask for a client certificate" in message
    assert "authority" not in message


def test_nobody_is_nobody() -> None:
    error = without_connection(ConnectionRefusedError(), "http://c:9200")
    assert error.message == "No cluster answers at http://c:9200 (ConnectionRefusedError)."
    assert error.retry_after == 1.0
