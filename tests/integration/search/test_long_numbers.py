"""Numbers that no double and no 64 bits hold, in queries of callers: the cluster gets every digit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.integration.search.conftest import World, put
from tests.integration.search.gateways import QUERY
from tests.support.faults import FaultyProxy, faulty_proxy
from tests.support.shell import Shell

pytestmark = pytest.mark.integration

WHOLE = "12345678901234567890123"
NEAR = "12345678901234567890124"
FRACTION = "0.1234567890123456789"
CLAUSE = f'{{"terms": {{"digits": [{WHOLE}, {FRACTION}]}}}}'
JSON = {"content-type": "application/json"}


@pytest.fixture
async def numbered(world: World) -> AsyncIterator[str]:
    """Two documents, whose keywords differ in a digit that a double has not."""
    index = f"{world.index}-numbers"
    async with await Engine.connect(world.url) as engine:
        await put(world.url, world.target, index, [])
        await engine.put_mapping(index, {"properties": {"digits": {"type": "keyword"}}})
        corpus = [{"_id": number, "title": "", "text": QUERY, "digits": number} for number in (WHOLE, NEAR)]
        await put(world.url, world.target, index, corpus)
        yield index
        await engine.delete_index(index)


class Heard:
    """What the cluster was sent in searches."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self._bodies: list[bytes] = []
        proxy.before = self._hear

    async def _hear(self, body: bytes) -> None:
        self._bodies.append(body)

    def require(self, *numbers: str) -> None:
        """Every number was sent, as it was written; what came before is forgotten then."""
        sent = b"\n".join(self._bodies).decode()
        for number in numbers:
            assert re.search(rf"[\[:, ]{re.escape(number)}[\],}}]", sent), (number, sent[:2_000])
        self._bodies.clear()


@asynccontextmanager
async def heard(world: World, path: str) -> AsyncIterator[Heard]:
    async with faulty_proxy(world.url, only=path) as proxy:
        yield Heard(proxy)


async def test_callers_of_the_http_port(world: World, models: list[Path], numbered: str) -> None:
    question = f'"index": "{numbered}", "profile": "lexical"'
    body = f'{{"query": {{"bool": {{"must": [{{"match": {{"text": "{QUERY}"}}}}], "filter": [{CLAUSE}]}}}}}}'
    async with heard(world, "search") as cluster:
        settings = {"threads": 1, "search_engine": cluster.proxy.url, "search_indices": numbered, "search_bodies": True}
        with SidecarProcess(models, settings=settings) as process:
            async with httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False) as http:
                asked = f'{{{question}, "text": "{QUERY}", "filter": {CLAUSE}}}'
                async with asyncio.timeout(30.0):
                    while (found := await http.post("/v1/search", content=asked, headers=JSON)).status_code == 503:
                        await asyncio.sleep(0.2)
                assert [hit["id"] for hit in found.json()["hits"]] == [WHOLE]
                cluster.require(WHOLE, FRACTION)
                own = f'{{{question}, "body": {body}}}'
                augmented = await http.post("/v1/augment", content=own, headers=JSON)
                assert WHOLE in augmented.text
                assert FRACTION in augmented.text
                ranked = await http.post("/v1/search/body", content=own, headers=JSON)
                assert [hit["_id"] for hit in ranked.json()["hits"]["hits"]] == [WHOLE]
                cluster.require(WHOLE, FRACTION)
                deep = f'{{{question}, "text": "x", "filter": {"[" * 900}{FRACTION}{"]" * 900}}}'
                refused = await http.post("/v1/search", content=deep, headers=JSON)
                assert (refused.status_code, refused.json()["reason"]) == (422, "INVALID_INPUT")


async def test_a_filter_that_is_typed(world: World, numbered: str, tmp_path: Path) -> None:
    async with heard(world, "search") as cluster:
        shell = Shell(tmp_path, cluster.proxy.url, world.target)
        command = ("search", QUERY, "--index", numbered, "--profile", "lexical", "--json", "--filter", CLAUSE)
        done = await shell.run(*command)
        assert f'"id": "{WHOLE}"' in done.stdout
        assert NEAR not in done.stdout
        cluster.require(WHOLE, FRACTION)


async def test_documents_that_are_reconciled_by_a_query(world: World, numbered: str, tmp_path: Path) -> None:
    async with heard(world, "search") as cluster:
        shell = Shell(tmp_path, cluster.proxy.url, world.target)
        await shell.run("reconcile", "--index", numbered, "--where", CLAUSE)
        cluster.require(WHOLE, FRACTION)
