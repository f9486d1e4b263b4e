"""Indices that are deleted while they are written to: a bulk request would make them again, without their mapping."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import cast

import orjson
import pytest

from sidecar.client import AsyncSidecarClient, StreamOutcome
from sidecar.cluster import AsyncSparseWriter, DeadLetters, IndexRun, Source
from sidecar.cluster.outcomes import Stage
from sidecar.cluster.present import present
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun
from sidecar.cluster.second_index import CopyRun, abort_second_index
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.domain import Document, JsonValue, ModelInfo
from sidecar.engine import Engine, IndexMeta
from sidecar.errors import IndexNotFound, InvalidInput
from sidecar.scale import ToIndex
from sidecar.scale.encoder import EncodedRow
from sidecar.scale.plan import Cluster
from sidecar.scale.sinks import IndexSink, Letter
from tests.support.bare import fill, prepare
from tests.support.migration import documents
from tests.support.nodes import Node
from tests.support.second_index import Names, begin_second, prepare_alias

pytestmark = pytest.mark.integration


def _written(target: ToIndex, meta: IndexMeta, rows: Sequence[EncodedRow]) -> list[Letter | None]:
    sink = IndexSink(target, meta)
    try:
        return sink.write(rows)
    finally:
        sink._runner.run(sink._engine.close())
        sink._runner.close()


class Meanwhile:
    """A sidecar during whose first answer something else happens."""

    def __init__(self, client: AsyncSidecarClient, happens: Callable[[], Awaitable[object]]) -> None:
        self._client = client
        self._happens = happens
        self.happened = 0

    @property
    def client(self) -> AsyncSidecarClient:
        return cast("AsyncSidecarClient", self)

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self._client.models()

    async def encode_stream(
        self, batches: Iterable[Sequence[str]] | AsyncIterable[Sequence[str]], **options: object
    ) -> AsyncGenerator[StreamOutcome, None]:
        async for outcome in self._client.encode_stream(batches, **options):  # type: ignore[arg-type]
            if not self.happened:
                self.happened += 1
                await self._happens()
            yield outcome


@pytest.fixture
async def two(engine: Engine, client: AsyncSidecarClient) -> AsyncGenerator[Names, None]:
    """An alias of two indices with documents in both, as retention has them: the older one goes."""
    found = Names(f"test-{uuid.uuid4().hex[:12]}")
    actions: list[JsonValue] = []
    for index in (found.first, found.second):
        await prepare(engine, client, index)
        await fill(engine, index, 60)
        actions.append({"add": {"index": index, "alias": found.alias}})
    await engine.send("POST", "/_aliases", {"actions": actions})
    yield found
    for index in (found.first, found.second):
        await engine.delete_index(index, missing_ok=True)


async def test_an_index_that_retention_deletes_is_not_made_again_by_vectors(
    engine: Engine, client: AsyncSidecarClient, two: Names
) -> None:
    sidecar = Meanwhile(client, lambda: engine.delete_index(two.first))
    with DeadLetters(None) as letters:
        run = ReconcileRun(engine, sidecar.client, two.alias, letters, ReconcileOptions(page_documents=20))
        summary = await run.run()
    assert sidecar.happened == 1
    assert not await engine.index_exists(two.first)
    assert (summary.failed, summary.left) == (0, 0)
    assert summary.gone > 0
    with DeadLetters(None) as letters:
        again = await ReconcileRun(engine, client, two.second, letters).run()
    assert (again.found, again.scanned) == (0, 60)


async def test_the_only_index_that_is_deleted_ends_the_run(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, 60)
    sidecar = Meanwhile(client, lambda: engine.delete_index(bare_index))
    with DeadLetters(None) as letters, pytest.raises(IndexNotFound):
        await ReconcileRun(engine, sidecar.client, bare_index, letters, ReconcileOptions(page_documents=20)).run()
    assert sidecar.happened == 1
    assert not await engine.index_exists(bare_index)


async def test_an_index_that_is_deleted_while_files_are_read_into_it_is_not_made_again(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    lines = b"".join(orjson.dumps({"_id": f"n{number}", "text": f"A lamp {number}"}) + b"\n" for number in range(60))
    sidecar = Meanwhile(client, lambda: engine.delete_index(bare_index))
    with DeadLetters(None) as letters:
        source = Source(io.BytesIO(lines), "_id", len(lines))
        run = IndexRun(engine, sidecar.client, bare_index, source, letters)
        with pytest.raises(
            IndexNotFound, match="is not there any more, or was made anew without its record; 0 documents"
        ):
            await run.run()
    assert sidecar.happened == 1
    assert (run.summary.written, run.summary.failed) == (0, 0)
    assert not await engine.index_exists(bare_index)


async def test_an_index_that_is_deleted_while_an_application_writes_is_not_made_again(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    writer = AsyncSparseWriter(engine, client, bare_index)
    assert [one.written for one in await writer.write([Document("a", {"text": "A lamp"})])] == [True]
    await engine.delete_index(bare_index)
    outcomes = await writer.write([Document("b", {"text": "A lamp"}), Document("c", {"text": "A rope"})])
    assert [(one.stage, one.reason, one.retriable) for one in outcomes] == [
        (Stage.WRITE, "index_not_found_exception", False)
    ] * 2
    assert not await engine.index_exists(bare_index)
    # What the index said of itself is not believed any longer, though it was read just now.
    with pytest.raises(IndexNotFound):
        await writer.write([Document("b", {"text": "A lamp"})])
    assert not await engine.index_exists(bare_index)


async def test_an_index_that_is_deleted_while_a_corpus_is_written_is_not_made_again(
    engine: Engine, opensearch: Node, bare_index: str
) -> None:
    meta = await engine.index_meta(bare_index)
    await engine.delete_index(bare_index)
    rows = [EncodedRow(f"n{number}", b'{"text": "A lamp"}', number, "h") for number in range(3)]
    with pytest.raises(IndexNotFound, match="is not there any more, and is not made anew"):
        await asyncio.to_thread(_written, ToIndex(Cluster(opensearch.url), bare_index), meta, rows)
    assert not await engine.index_exists(bare_index)


async def test_a_second_index_that_is_given_up_is_not_made_again_by_its_copying(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """`abort` or `drop` while `start` or a `reconcile --follow` is under way, as the documentation wants one to be."""
    await prepare_alias(engine, both, names, documents(60))
    for run_of in (CopyRun, ReconcileEvery):
        await begin_second(engine, both, names)
        sidecar = Meanwhile(both, lambda: abort_second_index(engine, names.alias, settle=0.0))
        options = ReconcileOptions(page_documents=20, patience=5.0)
        with DeadLetters(None) as letters:
            run = run_of(engine, sidecar.client, names.alias, letters, options)
            if run_of is CopyRun:
                with pytest.raises(InvalidInput, match="is not being migrated"):
                    await run.run()
            else:
                await run.run()
        assert sidecar.happened == 1
        assert not await engine.index_exists(names.second)
    assert await engine.count(names.alias) == 60


async def test_which_indices_are_there(engine: Engine, two: Names) -> None:
    assert await present(engine, [two.first, two.second, "nobody-s", two.first]) == {two.first, two.second}
    assert await present(engine, ["nobody-s"]) == frozenset()
    assert await present(engine, []) == frozenset()
    many = [f"nobody-{number}" for number in range(120)]
    assert await present(engine, [*many, two.second]) == {two.second}
    await engine.delete_index(two.first)
    await engine.create_index(two.first, {})
    assert await present(engine, [two.first, two.second]) == {two.second}, "without a record it is another one"
