"""What is written while two models live: by `sidecar index`, by an application's writer, and by nobody of ours."""

from __future__ import annotations

import asyncio
import io

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    AsyncSparseWriter,
    DeadLetters,
    IndexOptions,
    IndexRun,
    IndexSpec,
    Source,
    pick_encoder,
    plan_teardown,
    set_up,
    tear_down,
)
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.migrate import Candidate, abort, drop, rollback, start, status, swap
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileSummary
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.cluster.writer import WriterOptions
from sidecar.domain import Document, JsonObject
from sidecar.engine import Engine, IndexMeta, MigrationState, dialect_named
from sidecar.errors import FingerprintMismatch
from sidecar.server.process import SidecarProcess
from tests.support.migration import NEW, OLD, begin, documents, fill_new, prepare_old, put, rolled_out, text_of

pytestmark = pytest.mark.integration


async def both_records(engine: Engine, index: str) -> tuple[IndexMeta, IndexMeta]:
    found = await status(engine, index)
    assert found.record is not None
    return found.record.previous, found.record.candidate


async def require_vectors(
    engine: Engine, client: AsyncSidecarClient, index: str, name: str, metas: tuple[IndexMeta, ...]
) -> None:
    """The document holds, for each model, the vector that it makes of the text, and the text's hash."""
    stored = await engine.get(index, name)
    assert stored is not None
    for meta in metas:
        dialect = dialect_named(meta.dialect)
        text = source_text(name, stored, meta)
        assert stored[meta.hash_field] == text_hash(text)
        if text:
            answer = await client.encode([text], model=meta.bundle, pruning=meta.pruning, return_terms=True)
            wanted = dialect.document_fields(meta.vector_field, answer.encodings[0].vector, meta.fingerprint)
            assert stored[meta.vector_field] == pytest.approx(wanted[meta.vector_field], rel=1e-3)
        else:
            assert meta.vector_field not in stored


async def index_more(engine: Engine, client: AsyncSidecarClient, index: str, held: dict[str, JsonObject]) -> None:
    lines = b"".join(orjson.dumps({"_id": name, **source}) + b"\n" for name, source in held.items())
    with DeadLetters(None) as letters:
        source = Source(io.BytesIO(lines), "_id", None)
        await IndexRun(engine, client, index, source, letters, IndexOptions(write_documents=7)).run()


async def test_indexing_writes_both_vectors(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(3))
    await begin(engine, both, index_name)
    more: dict[str, JsonObject] = {f"m{number}": {"text": text_of(number, 1)} for number in range(20)}
    await index_more(engine, both, index_name, {**more, "bare": {"text": " "}})
    metas = await both_records(engine, index_name)
    for name in ("m0", "m19", "bare"):
        await require_vectors(engine, both, index_name, name, metas)
    filled = await fill_new(engine, both, index_name)
    assert filled.written == 3, "only what was there before the migration was left to do"
    await swap(engine, index_name, force=True)
    await index_more(engine, both, index_name, {"after": {"text": text_of(4, 4)}})
    await require_vectors(engine, both, index_name, "after", metas)
    assert (await rollback(engine, index_name)).state is MigrationState.FILLING
    assert (await status(engine, index_name)).counts.missing == 0, "a roll-back loses nothing"


async def test_an_application_s_writer_follows_a_migration(
    engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    await prepare_old(engine, both, index_name, documents(3))
    writer = AsyncSparseWriter(engine, both, index_name, WriterOptions(record_seconds=0.0))
    kept: list[tuple[IndexMeta, ...]] = []

    async def written(name: str) -> None:
        outcomes = await writer.write([Document(name, {"text": text_of(3, len(name))}), Document(f"{name}-", {})])
        assert all(one.written for one in outcomes)

    await written("before")
    await begin(engine, both, index_name)
    kept.append(await both_records(engine, index_name))
    await written("while-filling")
    await fill_new(engine, both, index_name)
    await swap(engine, index_name, force=True)
    await written("while-swapped")
    await drop(engine, index_name, settle=0.0)
    await written("afterwards")
    old, new = kept[0]
    for name in ("while-filling", "while-swapped", "afterwards"):
        await require_vectors(engine, both, index_name, name, (new,))
        await require_vectors(engine, both, index_name, f"{name}-", (new,))
    last = await engine.get(index_name, "afterwards")
    assert last is not None
    assert not {old.vector_field, old.hash_field} & set(last)


async def test_a_second_model_that_is_not_served_holds_no_write_up(
    engine: Engine, both: AsyncSidecarClient, index_name: str, sidecar_process: SidecarProcess
) -> None:
    """`sidecar_process` serves the old model and not the new one."""
    await prepare_old(engine, both, index_name, documents(3))
    await begin(engine, both, index_name)
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as narrow:
        await index_more(engine, narrow, index_name, {"m1": {"text": text_of(1, 1)}})
        old, _ = await both_records(engine, index_name)
        await require_vectors(engine, both, index_name, "m1", (old,))
        with pytest.raises(FingerprintMismatch), DeadLetters(None) as letters:
            await ReconcileEvery(engine, narrow, index_name, letters).run()
        await put(engine, index_name, {"m2": {"text": text_of(2, 1)}})
        told: list[str] = []
        with pytest.raises(FingerprintMismatch), DeadLetters(None) as letters:
            await ReconcileEvery(engine, narrow, index_name, letters, tell=told.append).run()
        await require_vectors(engine, both, index_name, "m2", (old,))
        assert len(told) == 2, "that there are two models, and that one is not served"


async def test_reconcile_serves_both_models(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    await begin(engine, both, index_name)
    await put(engine, index_name, {"d1": {"text": text_of(1, 5)}, "d2": {"number": 2}})
    told: list[str] = []
    with DeadLetters(None) as letters:
        run = ReconcileEvery(engine, both, index_name, letters, tell=told.append)
        summary = await run.run()
    assert (summary.written, summary.without_vector, summary.left) == (2 + 20, 2, 0)
    assert told == [f"{index_name} is being migrated: both of its models are brought up to date."]
    metas = await both_records(engine, index_name)
    for name in ("d0", "d1", "d2"):
        await require_vectors(engine, both, index_name, name, metas)
    with DeadLetters(None) as letters:
        assert (await ReconcileEvery(engine, both, index_name, letters).run()).found == 0


async def test_following_through_a_whole_migration(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    """One reconcile that follows sees a migration begin, be swapped, and end, and never stops serving."""
    await prepare_old(engine, both, index_name, documents(20))
    changed = asyncio.Event()
    seen: list[int] = []

    def watch(now: ReconcileSummary, _doing: str, _total: int) -> None:
        seen.append(now.written)
        changed.set()

    async def until_complete() -> None:
        while True:
            found = await status(engine, index_name)
            missing = found.counts.missing + (found.other.missing if found.other else 0)
            if not missing:
                return
            changed.clear()
            await asyncio.wait_for(changed.wait(), 120.0)

    with DeadLetters(None) as letters:
        options = ReconcileOptions(follow=True, interval=1.0)
        run = ReconcileEvery(engine, both, index_name, letters, options, progress=watch)
        task = asyncio.ensure_future(run.run())
        try:
            await start(engine, index_name, Candidate(pick_encoder(await both.models(), NEW)))
            await until_complete()
            metas = await both_records(engine, index_name)
            await swap(engine, index_name, force=True)
            await put(engine, index_name, {"d1": {"text": text_of(1, 5)}})
            await until_complete()
            await require_vectors(engine, both, index_name, "d1", metas)
            await drop(engine, index_name, settle=0.0)
            await put(engine, index_name, {"d2": {"text": text_of(2, 5)}})
            await until_complete()
            await require_vectors(engine, both, index_name, "d2", metas[1:])
        finally:
            run.stop()
            summary = await task
    assert (summary.failed, summary.left) == (0, 0)


async def test_teardown_takes_both_models_out(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await engine.create_index(index_name, {"mappings": {"properties": {"text": {"type": "text"}}}})
    await put(engine, index_name, documents(10))
    old = pick_encoder(await both.models(), OLD)
    await set_up(engine, IndexSpec(index_name, old, source_fields=("text",), lexical_field="text"))
    with DeadLetters(None) as letters:
        await ReconcileEvery(engine, both, index_name, letters).run()
    await rolled_out(engine, both, index_name)
    plan = await plan_teardown(engine, index_name)
    assert sum("still hold vectors" in line for line in plan.left) == 1
    await tear_down(engine, index_name, vectors=True)
    mapping = (await engine.mappings(index_name))[index_name]
    assert not mapping.get("_meta")
    for name, source in documents(10).items():
        assert await engine.get(index_name, name) == source


async def test_an_aborted_migration_can_be_begun_anew(
    engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    await prepare_old(engine, both, index_name, documents(5))
    for _ in range(2):
        await rolled_out(engine, both, index_name)
        assert (await abort(engine, index_name)).documents == 5
