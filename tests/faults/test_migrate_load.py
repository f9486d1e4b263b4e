"""A model is rolled out, swapped in, back and in again, and the old one dropped, while everybody searches and writes.

No search may fail, degrade, or mix models: every answer is exactly what one of the two models says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.migrate import abort, drop, mark_verified, rollback, swap, verify
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.engine import BulkAction, BulkOperation, Engine
from sidecar.search import AsyncSearcher
from sidecar.search.encoding import IndexRecord
from tests.support.migration import (
    NEW,
    OLD,
    SPARSE,
    Judge,
    begin,
    documents,
    fill_new,
    prepare_old,
    put,
    rolled_out,
)

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(600)]

DOCUMENTS = 80
QUERIES = ["lion river", "the wolf and the bear", "fox 3", "a horse near the river", "dog cat"]
SLOWLY = ReconcileOptions(batch_documents=8, in_flight=2, write_documents=8, page_documents=20)


@dataclass
class Readers:
    """What searchers have met so far; `seen` counts the answers of each model."""

    judge: Judge
    seen: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    stopping: bool = False
    order: dict[int, list[str]] = field(default_factory=dict)

    async def read(self, searcher: AsyncSearcher, number: int) -> None:
        turn = number
        while not self.stopping:
            query = QUERIES[turn % len(QUERIES)]
            turn += 1
            try:
                model = self.judge.model_of(query, await searcher.search(query))
            except BaseException as error:
                self.errors.append(error)
                raise
            self.seen[model] += 1
            self.order.setdefault(number, []).append(model)

    async def until(self, model: str, more: int) -> None:
        """Wait until so many more answers came from a model."""
        wanted = self.seen[model] + more
        while self.seen[model] < wanted and not self.errors:
            await asyncio.sleep(0.01)
        assert not self.errors, self.errors


def searcher_of(engine: Engine, client: AsyncSidecarClient, index: str, seconds: float) -> AsyncSearcher:
    """A searcher that believes the index's record for so long; 0.0: it asks in the middle of searches, too."""
    searcher = AsyncSearcher(engine, client, SPARSE, index=index)
    searcher._record = IndexRecord(engine, index, seconds=seconds)
    return searcher


@asynccontextmanager
async def reading(engine: Engine, client: AsyncSidecarClient, index: str, judge: Judge) -> AsyncIterator[Readers]:
    readers = Readers(judge)
    shared = searcher_of(engine, client, index, 0.0)
    searchers = [shared, shared, searcher_of(engine, client, index, 0.05), searcher_of(engine, client, index, 2.0)]
    tasks = [asyncio.ensure_future(readers.read(one, number)) for number, one in enumerate(searchers)]
    try:
        yield readers
    finally:
        readers.stopping = True
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not readers.errors, readers.errors


@pytest.fixture
async def judge(engine: Engine, both: AsyncSidecarClient, index_name: str) -> Judge:
    held = documents(DOCUMENTS)
    await prepare_old(engine, both, index_name, held)
    found = await Judge.of(both, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    for query in QUERIES:
        assert found.scores[(OLD, query)] != found.scores[(NEW, query)], "the models tell apart"
    return found


async def test_no_answer_fails_or_mixes_models(
    engine: Engine, both: AsyncSidecarClient, index_name: str, judge: Judge
) -> None:
    async with reading(engine, both, index_name, judge) as readers:
        await begin(engine, both, index_name)
        await fill_new(engine, both, index_name, SLOWLY)
        await readers.until(OLD, 10)
        assert readers.seen[NEW] == 0
        found = await verify(engine, both, index_name)
        assert found.passed, found.problems
        await mark_verified(engine, found)
        for _ in range(3):
            await swap(engine, index_name)
            await readers.until(NEW, 20)
            await rollback(engine, index_name)
            await readers.until(OLD, 20)
        await swap(engine, index_name)
        await readers.until(NEW, 10)
        # The slowest of the readers believes the record for two seconds.
        await drop(engine, index_name, settle=4.0)
        await readers.until(NEW, 20)
        readers.seen.clear()
        await readers.until(NEW, 20)
        assert readers.seen[OLD] == 0
    assert all(OLD in models and NEW in models for models in readers.order.values()), "each reader went along"


async def test_nobody_notices_a_migration_that_is_given_up(
    engine: Engine, both: AsyncSidecarClient, index_name: str, judge: Judge
) -> None:
    async with reading(engine, both, index_name, judge) as readers:
        await rolled_out(engine, both, index_name)
        await abort(engine, index_name)
        await readers.until(OLD, 20)
        assert readers.seen[NEW] == 0


async def test_the_scores_of_two_models_would_be_told_apart(
    engine: Engine, both: AsyncSidecarClient, index_name: str, judge: Judge
) -> None:
    """What the readers look for is there to be found: one model's query in the other's field is no right answer."""
    await rolled_out(engine, both, index_name)
    await swap(engine, index_name)
    candidate = await engine.index_meta(index_name)

    class Mixed(AsyncSidecarClient):
        """Encodes by the old model whatever it is asked for, and says that it did not."""

        async def encode(self, texts, **more):  # type: ignore[no-untyped-def, override]
            answer = await both.encode(texts, **{**more, "model": OLD, "expected_fingerprint": None})
            return type(answer)(answer.encodings, candidate.bundle, candidate.fingerprint)

    async with Mixed("127.0.0.1:1") as mixed:
        searcher = AsyncSearcher(engine, mixed, SPARSE, index=index_name)
        caught = 0
        for query in QUERIES:
            result = await searcher.search(query)
            with pytest.raises(AssertionError):
                judge.model_of(query, result)
            caught += 1
    assert caught == len(QUERIES)


async def test_documents_come_and_go_meanwhile(
    engine: Engine, both: AsyncSidecarClient, index_name: str, judge: Judge
) -> None:
    """A writer adds and deletes documents that no query finds; those that are found keep their exact scores."""
    stopping = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not stopping.is_set():
            await put(engine, index_name, {f"w{written % 20}": {"text": f"zebra {written}"}})
            written += 1
            if written % 3 == 0:
                gone = BulkAction(index_name, f"w{(written - 1) % 20}", operation=BulkOperation.DELETE)
                assert all(item.written for item in await engine.bulk([gone], refresh=True))

    assert not any("zebra" in query for query in QUERIES)
    writer = asyncio.ensure_future(write())
    try:
        async with reading(engine, both, index_name, judge) as readers:
            await begin(engine, both, index_name)
            await fill_new(engine, both, index_name, SLOWLY)
            found = await verify(engine, both, index_name)
            assert found.counts.documents - found.counts.missing >= DOCUMENTS
            await swap(engine, index_name, force=True)
            await readers.until(NEW, 20)
            await drop(engine, index_name, settle=4.0)
            await readers.until(NEW, 10)
    finally:
        stopping.set()
        await writer
    assert written > 0
