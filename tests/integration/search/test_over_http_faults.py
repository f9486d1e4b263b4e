"""Searching over HTTP while things go wrong: the cluster, the models, the caller, the end of the process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecar.search import AsyncSearcher
from sidecar.server.process import SidecarProcess
from tests.integration.search.gateways import QUERY
from tests.support.faults import FaultyProxy, ShardLost, Silence, faulty_proxy

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
async def proxy(world) -> AsyncIterator[FaultyProxy]:
    """The cluster, as far as the sidecar knows."""
    async with faulty_proxy(world.url, only="search") as running:
        yield running


def sidecar(models: list[Path], world, engine: str, **settings: object) -> SidecarProcess:
    searched = {"search_engine": engine, "search_indices": world.index, "threads": 1, **settings}
    return SidecarProcess(models, settings=searched)


def client(process: SidecarProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.http_url, timeout=60.0, trust_env=False)


async def ask(http: httpx.AsyncClient, world, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"index": world.index, "text": QUERY, "profile": "sparse", **more}
    return await http.post("/v1/search", json=body, headers=headers)


async def until_answered(http: httpx.AsyncClient, world, status: int) -> httpx.Response:
    async with asyncio.timeout(30.0):
        while (response := await ask(http, world)).status_code != status:
            await asyncio.sleep(0.1)
    return response


async def test_a_cluster_that_is_away_keeps_nothing_else_from_being_done(world, models) -> None:
    """Down at the start, there, gone, and back: searches alone notice, and say when to come again."""
    port = free_port()
    with sidecar(models, world, f"http://127.0.0.1:{port}") as process:
        async with client(process) as http:
            for _ in range(2):
                refused = await ask(http, world)
                assert (refused.status_code, refused.json()["reason"]) == (503, "ENGINE_UNAVAILABLE")
                assert int(refused.headers["retry-after"]) >= 1
                assert str(port) not in refused.text
                encoded = await http.post("/v1/encode", json={"texts": [QUERY]})
                reranked = await http.post("/v1/rerank", json={"query": QUERY, "documents": ["a wolf"]})
                assert (encoded.status_code, reranked.status_code) == (200, 200)
                assert httpx.get(f"{process.admin_url}/readyz", trust_env=False).status_code == 200
                async with faulty_proxy(world.url, port=port):
                    found = await until_answered(http, world, 200)
                    assert found.json()["hits"][0]["id"] == "wolf-river-snow"
                await until_answered(http, world, 503)
        log = process.log_text()
    assert "the cluster can't be asked" in log
    assert QUERY not in log


async def test_a_model_that_is_missing_is_a_degradation(world, engine, models, tiny_sparse_bundle) -> None:
    """Without a cross-encoder the first stage's order stands; without an encoder, lexical hits."""
    idf, _, cross = models
    lexical = await AsyncSearcher(engine, None, "lexical", index=world.index).search(QUERY)
    with sidecar([idf], world, world.url) as process:
        async with client(process) as http:
            plain = (await ask(http, world, profile="hybrid")).json()
            found = (await ask(http, world, profile="hybrid+rerank")).json()
    assert (found["degraded"], found["degraded_stage"]) == ("MODEL_MISSING", "rerank")
    assert [hit["id"] for hit in found["hits"]] == [hit["id"] for hit in plain["hits"]]
    with sidecar([cross], world, world.url) as process:
        async with client(process) as http:
            found = (await ask(http, world, profile="hybrid+rerank")).json()
    assert (found["degraded"], found["degraded_stage"]) == ("MODEL_MISSING", "encode")
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in lexical.hits]
    with sidecar([tiny_sparse_bundle], world, world.url) as process:
        async with client(process) as http:
            refused = await ask(http, world)
    assert (refused.status_code, refused.json()["reason"]) == (409, "FINGERPRINT_MISMATCH")


async def test_callers_who_leave_make_room_and_those_who_wait_too_long_are_told(world, models, proxy) -> None:
    with sidecar(models, world, proxy.url, max_searches=2) as process:
        async with client(process) as http:
            assert (await ask(http, world)).status_code == 200
            proxy.play([Silence(30.0)] * 2)
            leaving = [asyncio.ensure_future(ask(http, world)) for _ in range(2)]
            async with asyncio.timeout(20.0):
                while sum(path.endswith("search") for _, path in proxy.requests) < 2:
                    await asyncio.sleep(0.02)
            started = time.monotonic()
            refused = await asyncio.gather(*(ask(http, world) for _ in range(40)))
            assert time.monotonic() - started < 15.0
            assert {(one.status_code, one.json()["reason"]) for one in refused} == {(429, "OVERLOADED")}
            assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            assert (await until_answered(http, world, 200)).json()["degraded"] is None
            proxy.play([Silence(30.0)])
            started = time.monotonic()
            late = await ask(http, world, headers={"x-request-timeout": "0.5"})
            assert (late.status_code, late.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
            assert time.monotonic() - started < 10.0
            assert (await ask(http, world)).status_code == 200
        metrics = httpx.get(f"{process.admin_url}/metrics", trust_env=False).text
    assert 'sidecar_searches_total{outcome="error",profile="sparse",reason="CANCELLED"} 2.0' in metrics
    assert 'sidecar_searches_total{outcome="error",profile="sparse",reason="OVERLOADED"}' in metrics


async def test_answers_that_lack_a_shard_say_so_and_are_counted(world, models, proxy) -> None:
    with sidecar(models, world, proxy.url, search_bodies=True) as process:
        async with client(process) as http:
            assert (await ask(http, world)).json()["partial"] is False
            proxy.play([ShardLost()] * 2)
            assert (await ask(http, world)).json()["partial"] is True
            asked = {"index": world.index, "profile": "sparse", "body": {"query": {"match": {"text": QUERY}}}}
            found = await http.post("/v1/search/body", json=asked)
            assert (found.status_code, found.json()["_shards"]["failed"]) == (200, 1)
            assert (await http.post("/v1/augment", json=asked)).status_code == 200
        metrics = httpx.get(f"{process.admin_url}/metrics", trust_env=False).text
    assert 'sidecar_partial_searches_total{profile="sparse"} 2.0' in metrics
    assert 'sidecar_searches_total{outcome="ok",profile="sparse",reason=""} 4.0' in metrics


async def test_a_search_under_way_is_answered_while_the_process_drains(world, models, proxy) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hold(body: bytes) -> None:
        entered.set()
        await go_on.wait()

    with sidecar(models, world, proxy.url, drain_grace=30) as process:
        async with client(process) as http:
            assert (await ask(http, world)).status_code == 200
            proxy.before = hold
            searching = asyncio.ensure_future(ask(http, world))
            await asyncio.wait_for(entered.wait(), 20.0)
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.sleep(0.5)
            go_on.set()
            answer = await searching
            assert answer.status_code == 200
            assert answer.json()["hits"]
        assert await asyncio.to_thread(process.wait, 60.0) == 0


async def test_an_overloaded_reranker_costs_the_order_and_not_the_answer(world, models) -> None:
    tight = {"max_queue_tokens": 256, "max_batch_tokens": 128, "max_searches": 16}
    with sidecar(models, world, world.url, **tight) as process:
        async with client(process) as http:
            outcomes: set[tuple[str, str]] = set()
            async with asyncio.timeout(120.0):
                while ("OVERLOADED", "rerank") not in outcomes:
                    found = await asyncio.gather(*(ask(http, world, profile="lexical+rerank") for _ in range(16)))
                    assert {one.status_code for one in found} == {200}
                    assert all(len(one.json()["hits"]) == 10 for one in found)
                    outcomes |= {(one.json()["degraded"], one.json()["degraded_stage"]) for one in found}
    assert outcomes <= {(None, None), ("OVERLOADED", "rerank"), ("DEADLINE_EXCEEDED", "rerank")}


async def test_without_a_cluster_there_are_no_such_routes_and_bodies_need_a_switch(world, models) -> None:
    body = {"index": world.index, "body": {"query": {"match": {"text": QUERY}}}}
    with SidecarProcess(models, settings={"threads": 1}) as process:
        async with client(process) as http:
            for path in ("/v1/search", "/v1/augment", "/v1/search/body"):
                assert (await http.post(path, json=body)).status_code == 404
            assert "/v1/search" not in (await http.get("/openapi.json")).json()["paths"]
        assert httpx.get(f"{process.admin_url}/buildinfo", trust_env=False).json()["search"] is None
    with sidecar(models, world, world.url) as process:
        async with client(process) as http:
            assert (await http.post("/v1/augment", json=body)).status_code == 200
            assert (await http.post("/v1/search/body", json=body)).status_code == 404
