"""An alias is pointed at another model's index and back, while everybody searches and writes by it.

No search may fail, degrade, come out short, or mix models: every answer is exactly what one of the two models says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import AsyncSparseWriter, DeadLetters, WriterOptions
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.cluster.second_index import CopyRun, drop_first_index, swap_indices
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.domain import Document
from sidecar.engine import BulkAction, BulkOperation, Engine
from sidecar.search import AsyncSearcher, load_profile
from sidecar.search.encoding import IndexRecord
from tests.faults.test_migrate_load import QUERIES, SLOWLY, Readers, reading
from tests.support.migration import NEW, OLD, SPARSE, Judge, documents, put
from tests.support.nodes import Node
from tests.support.second_index import Names, begin_second, prepare_alias, roll_back, swap_in, verified

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

DOCUMENTS = 80


@pytest.fixture
async def judge(engine: Engine, both: AsyncSidecarClient, names: Names) -> Judge:
    held = documents(DOCUMENTS)
    await prepare_alias(engine, both, names, held)
    return await Judge.of(both, {name: str(source["text"]) for name, source in held.items()}, QUERIES)


async def go_there_and_back(engine: Engine, both: AsyncSidecarClient, names: Names, readers: Readers) -> None:
    await swap_in(engine, both, names, force=True)
    await readers.until(NEW, 20)
    await roll_back(engine, both, names)
    await readers.until(OLD, 20)
    await swap_in(engine, both, names, force=True)
    await readers.until(NEW, 20)


async def test_no_answer_fails_or_mixes_models(
    engine: Engine, both: AsyncSidecarClient, names: Names, judge: Judge
) -> None:
    async with reading(engine, both, names.alias, judge) as readers:
        await begin_second(engine, both, names)
        with DeadLetters(None) as letters:
            await CopyRun(engine, both, names.alias, letters, SLOWLY).run()
        await readers.until(OLD, 10)
        assert readers.seen[NEW] == 0
        await verified(engine, both, names)
        await go_there_and_back(engine, both, names, readers)
        # A searcher with the old record notices that the old index is gone, and reads the new one.
        await drop_first_index(engine, names.alias, settle=0.0)
        await readers.until(NEW, 20)
    assert all(OLD in models and NEW in models for models in readers.order.values()), "each reader went along"


@pytest.fixture
async def patient(opensearch: Node) -> AsyncIterator[Engine]:
    """An engine that repeats refused writes as long as it does everywhere but in tests."""
    async with await Engine.connect(opensearch.url) as connected:
        yield connected


async def test_an_application_writes_and_deletes_meanwhile(
    engine: Engine, patient: Engine, both: AsyncSidecarClient, names: Names, judge: Judge
) -> None:
    """By the alias, two ways: past the sidecar, and by our writer. No write is lost, and none is refused for good."""
    stopping = asyncio.Event()
    held: dict[str, str] = {}
    ours = AsyncSparseWriter(patient, both, names.alias, WriterOptions(record_seconds=0.0))

    async def write() -> None:
        turn = 0
        while not stopping.is_set():
            name, text = f"w{turn % 20}", f"zebra {turn}"
            if turn % 3 == 0:
                (outcome,) = await ours.write([Document(name, {"text": text})], refresh=True)
                assert outcome.written, outcome
            else:
                await put(patient, names.alias, {name: {"text": text}})
            held[name] = text
            turn += 1
            if turn % 4 == 0:
                gone = f"w{(turn - 2) % 20}"
                action = BulkAction(names.alias, gone, operation=BulkOperation.DELETE)
                assert (await patient.bulk([action], refresh=True))[0].written
                held.pop(gone, None)

    with DeadLetters(None) as letters:
        follow = ReconcileEvery(
            engine, both, names.alias, letters, ReconcileOptions(follow=True, interval=1.0, write_documents=8)
        )
        following = asyncio.ensure_future(follow.run())
        writing = asyncio.ensure_future(write())
        try:
            async with reading(engine, both, names.alias, judge) as readers:
                await begin_second(engine, both, names)
                await go_there_and_back(engine, both, names, readers)
        finally:
            stopping.set()
            await writing
            follow.stop()
            summary = await following
    assert summary.failed == 0
    with DeadLetters(None) as letters:
        await ReconcileEvery(engine, both, names.alias, letters).run()
    wanted = {**{name: str(source["text"]) for name, source in documents(DOCUMENTS).items()}, **held}
    for index in (names.first, names.second):
        await engine.refresh(index)
        assert await engine.count(index) == len(wanted)
        for name, text in wanted.items():
            stored = await engine.get(index, name)
            assert stored is not None
            assert stored["text"] == text


@pytest.mark.parametrize("profile", ["sparse", "hybrid", "hybrid-rrf"])
async def test_an_alias_that_moves_between_the_encoding_and_the_search(
    engine: Engine, both: AsyncSidecarClient, names: Names, judge: Judge, profile: str
) -> None:
    """The query was encoded by the old model; the answer is the one that the new model gives."""
    await begin_second(engine, both, names)
    with DeadLetters(None) as letters:
        await CopyRun(engine, both, names.alias, letters).run()

    class Late(AsyncSidecarClient):
        """The alias moves right after the first encoding."""

        moved = False

        async def encode(self, texts, **more):  # type: ignore[no-untyped-def, override]
            answer = await both.encode(texts, **more)
            if not self.moved:
                self.moved = True
                with DeadLetters(None) as late:
                    await swap_indices(engine, both, names.alias, late, force=True)
            return answer

    patient = {"encode_timeout": 60.0, "timeout": 120.0}
    chosen = (SPARSE if profile == "sparse" else load_profile(profile)).model_copy(update=patient)
    async with Late("127.0.0.1:1") as late:
        searcher = AsyncSearcher(engine, late, chosen, index=names.alias)
        searcher._record = IndexRecord(engine, names.alias, seconds=3600.0)
        told = await searcher.search(QUERIES[0])
    after = await AsyncSearcher(engine, both, chosen, index=names.second).search(QUERIES[0])
    assert late.moved
    assert told.degraded is None
    assert [(hit.id, hit.sparse_score) for hit in told.hits] == [(hit.id, hit.sparse_score) for hit in after.hits]
    if profile == "sparse":
        assert judge.model_of(QUERIES[0], told) == NEW


async def test_an_application_s_own_body_while_its_alias_moves(
    engine: Engine, both: AsyncSidecarClient, names: Names, judge: Judge
) -> None:
    """A searcher that knows only the old record, and an alias that stands for the other index since."""
    await begin_second(engine, both, names)
    with DeadLetters(None) as letters:
        await CopyRun(engine, both, names.alias, letters).run()
    body = {"query": {"match": {"text": QUERIES[0]}}, "size": 5}
    searcher = AsyncSearcher(engine, both, "hybrid", index=names.alias)
    before = await searcher.search_body(body)
    searcher._record._seconds = 3600.0
    await swap_in(engine, both, names, force=True)
    after = await searcher.search_body(body)
    fresh = await AsyncSearcher(engine, both, "hybrid", index=names.second).search_body(body)

    def scores(response: dict[str, object]) -> list[tuple[str, float]]:
        return [(hit["_id"], hit["_score"]) for hit in response["hits"]["hits"]]  # type: ignore[index]

    assert scores(dict(after.response)) == scores(dict(fresh.response)) != scores(dict(before.response))
