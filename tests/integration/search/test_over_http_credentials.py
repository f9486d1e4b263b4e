"""Who the sidecar is at the cluster that it searches, and how it knows the cluster."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from sidecar.server.process import SidecarProcess
from tests.integration.search.gateways import QUERY
from tests.support.faults import Status, faulty_proxy

pytestmark = pytest.mark.integration

PASSWORD = "quartz-of-the-reader"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def speaking_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


async def test_user_password_and_certificates_reach_the_cluster_and_nobody_else(
    world, models, authority: trustme.CA, tmp_path: Path
) -> None:
    own = authority.issue_cert("reader")
    (tmp_path / "key.pem").write_bytes(own.private_key_pem.bytes())
    (tmp_path / "own.pem").write_bytes(own.cert_chain_pems[0].bytes())
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    known = {
        "search_user": "reader",
        "search_password_file": tmp_path / "password",
        "search_ca": tmp_path / "ca.pem",
        "search_client_certificate": tmp_path / "own.pem",
        "search_client_key": tmp_path / "key.pem",
    }
    async with faulty_proxy(world.url, tls=speaking_tls(authority)) as proxy:
        searched = {"threads": 1, "search_engine": proxy.url, "search_indices": world.index}
        with SidecarProcess(models, settings={**searched, **known}) as process:
            async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
                found = await _until_answered(http, world.index)
                about = httpx.get(f"{process.admin_url}/buildinfo", trust_env=False).text
            log = process.log_text()
        expected = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
        assert set(proxy.authorizations) == {f"Basic {expected}"}
        assert {method for method, _ in proxy.requests} <= {"GET", "POST"}
        assert {path.rpartition("/")[2] for _, path in proxy.requests} <= {"", "_mapping", "_search", "_msearch"}
        for text in (found.text, about, log):
            assert PASSWORD not in text
            assert expected not in text
            assert "reader" not in text
        stranger = {**known, "search_ca": None}
        untrusting = {name: value for name, value in stranger.items() if value is not None}
        with SidecarProcess(models, settings={**searched, **untrusting}) as process:
            async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
                refused = await _ask(http, world.index)
            assert (refused.status_code, refused.json()["reason"]) == (503, "ENGINE_UNAVAILABLE")
            assert "certificate" in process.log_text()


async def test_a_password_that_was_changed_is_read_when_the_cluster_refuses_the_old_one(
    world, models, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("first")
    known = {"search_user": "reader", "search_password_file": tmp_path / "password"}
    async with faulty_proxy(world.url, only="search") as proxy:
        searched = {"threads": 1, "search_engine": proxy.url, "search_indices": world.index}
        with SidecarProcess(models, settings={**searched, **known}) as process:
            async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
                await _until_answered(http, world.index)
                (tmp_path / "password").write_text("second")
                assert (await _ask(http, world.index)).status_code == 200
                assert set(proxy.authorizations) == {_basic("first")}, "while it is taken, it is kept"
                for _ in range(3):
                    proxy.play([Status(401)])
                    refused = await _ask(http, world.index)
                    assert (refused.status_code, refused.json()["reason"]) == (502, "ENGINE_REJECTED")
                    proxy.authorizations.clear()
                    assert (await _ask(http, world.index)).status_code == 200
                    assert set(proxy.authorizations) == {_basic("second")}


async def test_an_api_key_reaches_the_cluster_and_is_read_again_when_it_is_refused(
    world, models, tmp_path: Path
) -> None:
    file = tmp_path / "api-key"
    file.write_text("reader:quartz\n")
    async with faulty_proxy(world.url, only="search") as proxy:
        searched = {"threads": 1, "search_engine": proxy.url, "search_indices": world.index}
        with SidecarProcess(models, settings={**searched, "search_api_key_file": file}) as process:
            async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
                found = await _until_answered(http, world.index)
                assert set(proxy.authorizations) == {_key("reader:quartz")}
                file.write_text("reader:basalt\n")
                proxy.play([Status(401)])
                refused = await _ask(http, world.index)
                assert (refused.status_code, refused.json()["reason"]) == (502, "ENGINE_REJECTED")
                proxy.authorizations.clear()
                assert (await _ask(http, world.index)).status_code == 200
                assert set(proxy.authorizations) == {_key("reader:basalt")}
                about = httpx.get(f"{process.admin_url}/buildinfo", trust_env=False).text
            log = process.log_text()
    for text in (found.text, refused.text, about, log):
        assert not [secret for secret in ("quartz", "basalt", _key("reader:quartz").split()[1]) if secret in text]


def _key(key: str) -> str:
    return f"ApiKey {base64.b64encode(key.encode()).decode()}"


def _basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'reader:{password}'.encode()).decode()}"


async def _ask(http: httpx.AsyncClient, index: str) -> httpx.Response:
    return await http.post("/v1/search", json={"index": index, "text": QUERY, "profile": "hybrid-rrf"})


async def _until_answered(http: httpx.AsyncClient, index: str) -> httpx.Response:
    async with asyncio.timeout(30.0):
        while (found := await _ask(http, index)).status_code != 200:
            await asyncio.sleep(0.2)
    return found
