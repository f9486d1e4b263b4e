"""TLS and credentials on the way to a cluster: a proxy with a throw-away authority in front of a real node."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import pytest
import trustme

from sidecar.engine import Engine
from sidecar.errors import EngineUnavailable, InvalidInput
from tests.support.faults import faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def server_context(authority: trustme.CA, *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


async def test_a_named_authority_is_believed(opensearch: Node, authority: trustme.CA, authority_file: Path) -> None:
    async with (
        faulty_proxy(opensearch.url, tls=server_context(authority)) as proxy,
        await Engine.connect(proxy.url, ca_certificates=authority_file) as engine,
    ):
        assert engine.info.name
        assert engine.address.startswith("https://")


async def test_an_unknown_authority_is_not(opensearch: Node, authority: trustme.CA) -> None:
    async with faulty_proxy(opensearch.url, tls=server_context(authority)) as proxy:
        with pytest.raises(EngineUnavailable, match="known authority"):
            await Engine.connect(proxy.url, timeout=5.0)
        assert proxy.requests == []


async def test_unless_it_was_said_to_be_of_no_matter(opensearch: Node, authority: trustme.CA) -> None:
    async with (
        faulty_proxy(opensearch.url, tls=server_context(authority)) as proxy,
        await Engine.connect(proxy.url, verify_certificates=False) as engine,
    ):
        assert engine.info.name


async def test_a_client_certificate(
    opensearch: Node, authority: trustme.CA, authority_file: Path, tmp_path: Path
) -> None:
    mine = authority.issue_cert("client.example")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    mine.cert_chain_pems[0].write_to_path(str(certificate))
    mine.private_key_pem.write_to_path(str(key))
    async with faulty_proxy(opensearch.url, tls=server_context(authority, mutual=True)) as proxy:
        with pytest.raises(EngineUnavailable):
            await Engine.connect(proxy.url, ca_certificates=authority_file, timeout=5.0)
        async with await Engine.connect(
            proxy.url, ca_certificates=authority_file, client_certificate=certificate, client_key=key
        ) as engine:
            assert engine.info.name


@pytest.mark.parametrize("in_address", [False, True])
async def test_user_and_password(opensearch: Node, in_address: bool) -> None:
    expected = "Basic " + base64.b64encode(b"kim:p@ss:word").decode()
    async with faulty_proxy(opensearch.url) as proxy:
        if in_address:
            url = proxy.url.replace("http://", "http://kim:p%40ss%3Aword@")
            engine = await Engine.connect(url)
        else:
            engine = await Engine.connect(proxy.url, user="kim", password="p@ss:word")
        async with engine:
            assert proxy.authorizations == [expected]
            assert "p@ss" not in engine.address
            assert "%40" not in engine.address


@pytest.mark.parametrize("key", ["aWQ6a2V5", "id:key"], ids=["encoded", "id and key"])
async def test_an_api_key(opensearch: Node, key: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, api_key=key) as engine:
        await engine.refresh("_all")
        assert proxy.authorizations == ["ApiKey aWQ6a2V5"] * 2
        assert "aWQ6a2V5" not in repr(engine) + engine.address


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://kim:secret@127.0.0.1:1"])
@pytest.mark.parametrize("key", ["id:key", "two\nlines", "", "a:b:c", "a key"])
async def test_an_api_key_that_is_none_or_one_too_many(url: str, key: str) -> None:
    user = "kim" if key == "id:key" else None
    with pytest.raises(InvalidInput) as caught:
        await Engine.connect(url, api_key=key, user=user)
    assert caught.value.field == "api_key"
    assert "secret" not in caught.value.message
