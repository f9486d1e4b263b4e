"""A sidecar that dies, sleeps or was never there: search goes on and says so."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.search import BUILT_IN, AsyncSearcher
from sidecar.server.process import SidecarProcess

pytestmark = [pytest.mark.integration, pytest.mark.faults]

QUERY = "a wolf near the river in the snow"


@pytest.fixture
def mortal(models: list[Path]) -> Iterator[SidecarProcess]:
    """A sidecar of this test's own."""
    with SidecarProcess(models, settings={"threads": 1}) as process:
        yield process


@pytest.fixture(scope="module")
def sleeper(models: list[Path]) -> Iterator[SidecarProcess]:
    """A sidecar that is stopped for a while; every test wakes it up again."""
    with SidecarProcess(models, settings={"threads": 1}) as process:
        yield process


def _hurried(name: str, seconds: float = 0.5):
    profile = BUILT_IN[name].model_copy(update={"encode_timeout": seconds, "timeout": 5.0})
    if profile.rerank is None:
        return profile
    return profile.model_copy(update={"rerank": profile.rerank.model_copy(update={"timeout": seconds})})


async def test_killed_in_the_middle(world, engine, mortal) -> None:
    """Searches run all the time; the sidecar is killed; none fails, none is slow, and from then on all say so."""
    async with AsyncSidecarClient(mortal.target) as client:
        searcher = AsyncSearcher(engine, client, _hurried("hybrid+rerank"), index=world.index)
        lexical = await AsyncSearcher(engine, None, "lexical", index=world.index).search(QUERY)
        assert (await searcher.search(QUERY)).degraded is None
        stop = asyncio.Event()
        seen: list[tuple[float, object, float]] = []

        async def hammer() -> None:
            while not stop.is_set():
                started = time.monotonic()
                result = await searcher.search(QUERY)
                seen.append((time.monotonic(), result, time.monotonic() - started))

        tasks = [asyncio.create_task(hammer()) for _ in range(4)]
        while len(seen) < 8:
            await asyncio.sleep(0.05)
        killed_at = time.monotonic()
        await asyncio.to_thread(mortal.kill)
        await asyncio.sleep(1.5)
        stop.set()
        await asyncio.gather(*tasks)
    before = [result for moment, result, _ in seen if moment < killed_at]
    late = [result for moment, result, took in seen if moment - took > killed_at + 0.5]
    assert before
    assert late
    assert all(result.degraded is None for result in before)
    assert all(result.degraded in {"SIDECAR_UNAVAILABLE", "DEADLINE_EXCEEDED"} for result in late)
    assert all(result.hits == lexical.hits for result in late)
    assert all(len(result.hits) == 10 for _, result, _ in seen)
    assert max(took for _, _, took in seen) < 5.0


@pytest.mark.parametrize("name", ["sparse", "hybrid", "hybrid-rrf+rerank"])
async def test_a_sleeping_sidecar_is_not_waited_for(world, engine, sleeper, name) -> None:
    async with AsyncSidecarClient(sleeper.target) as client:
        searcher = AsyncSearcher(engine, client, _hurried(name), index=world.index)
        assert (await searcher.search(QUERY)).degraded is None
        sleeper.signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            result = await searcher.search(QUERY)
            took = time.monotonic() - started
        finally:
            sleeper.signal(signal.SIGCONT)
        assert (result.degraded, result.degraded_stage) == ("DEADLINE_EXCEEDED", "encode")
        assert result.hits
        assert took < 2.0
        async with asyncio.timeout(20):
            while (await searcher.search(QUERY)).degraded is not None:
                await asyncio.sleep(0.1)


async def test_a_hurried_caller_gets_less_and_not_nothing(world, engine, sleeper) -> None:
    """The caller's seconds are fewer than the profile's: what is late is left out in time, and lexical hits come."""
    async with AsyncSidecarClient(sleeper.target) as client:
        searcher = AsyncSearcher(engine, client, _hurried("hybrid+rerank", 5.0), index=world.index)
        assert (await searcher.search(QUERY)).degraded is None
        sleeper.signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            result = await searcher.search(QUERY, timeout=2.0)
            body = await searcher.search_body({"query": {"match": {"text": QUERY}}}, timeout=2.0)
            augmented = await searcher.augment({"query": {"match": {"text": QUERY}}}, timeout=2.0)
            took = time.monotonic() - started
        finally:
            sleeper.signal(signal.SIGCONT)
    assert (result.degraded, result.degraded_stage) == ("DEADLINE_EXCEEDED", "encode")
    assert len(result.hits) == len(body.response["hits"]["hits"]) == 10
    assert (body.degraded, augmented.degraded) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert took < 5.0


async def test_a_late_reranker_leaves_the_first_stages_order(world, engine, sleeper) -> None:
    """`lexical+rerank` needs no encoding: only the second stage is lost."""
    async with AsyncSidecarClient(sleeper.target) as client:
        searcher = AsyncSearcher(engine, client, _hurried("lexical+rerank"), index=world.index)
        sleeper.signal(signal.SIGSTOP)
        try:
            result = await searcher.search(QUERY)
            body = await searcher.search_body({"query": {"match": {"text": QUERY}}})
        finally:
            sleeper.signal(signal.SIGCONT)
    lexical = await AsyncSearcher(engine, None, "lexical", index=world.index).search(QUERY)
    assert (result.degraded, result.degraded_stage) == ("DEADLINE_EXCEEDED", "rerank")
    assert [hit.id for hit in result.hits] == [hit.id for hit in lexical.hits]
    assert (body.degraded, body.degraded_stage) == ("DEADLINE_EXCEEDED", "rerank")
    assert len(body.response["hits"]["hits"]) == 10


async def test_never_there(world, engine) -> None:
    async with AsyncSidecarClient("127.0.0.1:1") as client:
        searcher = AsyncSearcher(engine, client, _hurried("hybrid+rerank"), index=world.index)
        started = time.monotonic()
        result = await searcher.search(QUERY, filter={"term": {"kind": "odd"}})
        assert time.monotonic() - started < 3.0
        assert result.degraded in {"SIDECAR_UNAVAILABLE", "DEADLINE_EXCEEDED"}
        assert {hit.source["kind"] for hit in result.hits} == {"odd"}
        body = {"query": {"match": {"text": QUERY}}, "size": 4}
        answer = await searcher.search_body(body)
        assert answer.degraded in {"SIDECAR_UNAVAILABLE", "DEADLINE_EXCEEDED"}
        assert answer.unchanged == "DEGRADED"
        assert len(answer.response["hits"]["hits"]) == 4


async def test_an_overloaded_sidecar_is_a_degradation(world, engine, models) -> None:
    """More searches at once than a tiny queue takes: those that are refused keep the first stage's order."""
    settings = {"threads": 1, "max_queue_tokens": 256, "max_batch_tokens": 128}
    with SidecarProcess(models, settings=settings) as process:
        async with AsyncSidecarClient(process.target, overload_retries=0) as client:
            searcher = AsyncSearcher(engine, client, _hurried("lexical+rerank", 5.0), index=world.index)
            results = await asyncio.gather(*(searcher.search(QUERY) for _ in range(48)))
    lexical = await AsyncSearcher(engine, None, "lexical", index=world.index).search(QUERY)
    refused = [result for result in results if result.degraded is not None]
    assert refused
    assert {(result.degraded, result.degraded_stage) for result in refused} <= {
        ("OVERLOADED", "rerank"),
        ("DEADLINE_EXCEEDED", "rerank"),
    }
    assert "OVERLOADED" in {result.degraded for result in refused}
    assert all([hit.id for hit in result.hits] == [hit.id for hit in lexical.hits] for result in refused)
