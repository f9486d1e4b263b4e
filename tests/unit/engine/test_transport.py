"""Addresses, paths and JSON on their way to a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from sidecar.engine import Engine
from sidecar.engine.access import Access
from sidecar.engine.transport import Transport, path_of
from sidecar.errors import EngineRejected, EngineUnavailable, InvalidInput
from tests.unit.cluster.recorded import Recorded, recorded


def test_credentials_never_show() -> None:
    access = Access("https://kim:hunter2@one:9200/prefix,http://two:9200", user="kim", password="hunter2")
    assert access.shown == "https://one:9200/prefix, http://two:9200"
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize(
    "url",
    [
        *("", " , ", "localhost:9200", "ftp://host", "http://"),
        *("http://[::1:9200", "http://host:abc", "http://host:99999", "http://host:0", "http://a:1,http://[::1"),
        "http://kim:hun/ter2@host:9200",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    for user in (None, "kim"):
        with pytest.raises(InvalidInput) as caught:
            Access(url, user=user)
        assert caught.value.field == "engine"
        assert "hun" not in caught.value.message


def test_several_nodes_are_joined_by_commas() -> None:
    assert Access("http://a:1/, http://b:2").urls == ["http://a:1", "http://b:2"]


@pytest.mark.parametrize(
    ("segments", "path"),
    [
        (("a", "_search"), "/a/_search"),
        (("a/b", "_doc", "x?y#z"), "/a%2Fb/_doc/x%3Fy%23z"),
        (("a,b-*", "_count"), "/a,b-*/_count"),
        (("ä",), "/%C3%A4"),
    ],
)
def test_each_segment_stays_one(segments: tuple[str, ...], path: str) -> None:
    assert path_of(*segments) == path


@pytest.mark.parametrize("segments", [("",), ("", "_mapping"), ("shop", "_doc", "")])
def test_an_empty_name_is_no_path_to_everything(segments: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="name an index"):
        path_of(*segments)


class Slow(Recorded):
    """Takes its time over every answer, and knows how many wait at once."""

    waiting = most = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0.5)
        self.waiting -= 1
        return await super().handle(request)


async def test_requests_do_not_wait_for_one_another() -> None:
    async with recorded({"GET /it": {"it": "is"}}, Slow) as (engine, cluster):
        await asyncio.gather(*(engine.read("GET", "/it") for _ in range(40)))
        assert cluster.most == 40
        cluster.most = 0
        async with await Engine.connect(engine.address, connections=3) as few:
            await asyncio.gather(*(few.read("GET", "/it") for _ in range(6)))
        assert cluster.most == 3
    with pytest.raises(InvalidInput):
        Access("http://a:1", connections=0)


@pytest.mark.parametrize("kind", ["ca_certificates", "client_certificate"])
async def test_a_certificate_file_that_is_not_there_is_told(kind: str) -> None:
    transport = Transport(Access("https://127.0.0.1:9", **{kind: Path("/nowhere/ca.pem")}))
    with pytest.raises(EngineRejected, match="can't be set up"):
        await transport.send("GET", "/")
    await transport.close()


async def test_a_certificate_file_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    transport = Transport(Access("https://127.0.0.1:9", ca_certificates=file))
    with pytest.raises(EngineRejected, match="can't be set up"):
        await transport.send("GET", "/")
    await transport.close()


async def test_nobody_there() -> None:
    with pytest.raises(EngineUnavailable, match=r"No cluster answers at http://127\.0\.0\.1:9"):
        await Engine.connect("http://127.0.0.1:9", timeout=2.0)
