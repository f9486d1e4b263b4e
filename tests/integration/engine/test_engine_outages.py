"""The engine against a node that is away for a moment, silent, or no cluster at all."""

from __future__ import annotations

import time

import pytest

from sidecar.engine import Engine
from sidecar.errors import EngineOverloaded, EngineRejected, EngineUnavailable
from tests.support.faults import Cut, Silence, Status, faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


async def test_a_search_is_asked_again(opensearch: Node, prepared: str) -> None:
    async with (
        faulty_proxy(opensearch.url, only="/_search") as proxy,
        await Engine.connect(proxy.url, timeout=10.0) as engine,
    ):
        for fault in (Status(503), Status(429), Status(502), Cut.BEFORE, Cut.AFTER):
            proxy.play([fault, fault])
            assert (await engine.search(prepared, {"query": {"match_all": {}}})).hits == ()
            assert not proxy.script


async def test_a_search_is_not_asked_for_ever(opensearch: Node, prepared: str) -> None:
    async with (
        faulty_proxy(opensearch.url, only="/_search") as proxy,
        await Engine.connect(proxy.url, timeout=10.0) as engine,
    ):
        for fault, expected in (
            (Status(503), EngineUnavailable),
            (Status(429), EngineOverloaded),
            (Cut.BEFORE, EngineUnavailable),
        ):
            proxy.play([fault] * 50)
            with pytest.raises(expected):
                await engine.search(prepared, {"query": {"match_all": {}}})
            assert sum(path.endswith("_search") for _, path in proxy.requests) == 3


async def test_a_silent_cluster_is_left_in_time(opensearch: Node, prepared: str) -> None:
    async with (
        faulty_proxy(opensearch.url, only="/_search") as proxy,
        await Engine.connect(proxy.url, timeout=5.0) as engine,
    ):
        await engine.search(prepared, {"query": {"match_all": {}}})
        proxy.play([Silence(3.0)] * 5)
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            await engine.search(prepared, {"query": {"match_all": {}}}, timeout=0.3)
        assert time.monotonic() - started < 2.0


async def test_what_is_no_cluster_is_told(opensearch: Node) -> None:
    async with faulty_proxy(opensearch.url, only="/") as proxy:
        proxy.play([Status(403)])
        with pytest.raises(EngineRejected, match="not allow"):
            await Engine.connect(proxy.url)
        proxy.play([Status(401)])
        with pytest.raises(EngineRejected, match="credentials"):
            await Engine.connect(proxy.url)


async def test_closing_twice(opensearch: Node) -> None:
    engine = await Engine.connect(opensearch.url)
    await engine.close()
    await engine.close()
