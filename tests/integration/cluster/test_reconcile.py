"""Reconciling an index through a real sidecar on a real node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.documents import text_hash
from sidecar.cluster.reconcile import Limits, ReconcileOptions, ReconcileRun, ReconcileSummary
from sidecar.domain import SparseVector
from sidecar.engine import BulkAction, BulkPolicy, Engine
from sidecar.errors import DocumentsNotWritten, EngineRejected, EngineUnavailable, FingerprintMismatch, IndexNotPrepared
from tests.faults.audit import repeated_writes, require_right
from tests.support.bare import document, fill
from tests.support.faults import Status, faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


async def reconcile(
    engine: Engine,
    client: AsyncSidecarClient,
    index: str,
    options: ReconcileOptions | None = None,
    letters: Path | None = None,
) -> ReconcileSummary:
    with DeadLetters(letters) as dead:
        run = ReconcileRun(engine, client, index, dead, options or ReconcileOptions())
        try:
            return await run.run()
        finally:
            summary = run.summary
            assert summary.found == summary.written + summary.unneeded + summary.gone + summary.failed


def expected(count: int) -> dict[str, dict[str, object]]:
    return {f"d{number}": dict(document(number)) for number in range(count)}


async def partial_update(engine: Engine, index: str, name: str, change: dict[str, object]) -> None:
    await engine.send("POST", f"/{index}/_update/{name}?refresh=true", {"doc": change})


@pytest.mark.parametrize("slices", [1, 3])
async def test_what_is_missing_is_filled_once(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, slices: int
) -> None:
    await fill(engine, bare_index, 150)
    options = ReconcileOptions(slices=slices, page_documents=20)
    first = await reconcile(engine, client, bare_index, options)
    assert (first.missing, first.written, first.left, first.failed) == (150, 150, 0, 0)
    assert first.scanned < 300, "what the run has written itself is not read once more"
    again = await reconcile(engine, client, bare_index, options)
    assert (again.found, again.written, again.scanned) == (0, 0, 150)
    held = await require_right(engine, client, bare_index, [*expected(150)], expected(150))
    assert repeated_writes(held, []) == 0


async def test_what_a_run_has_written_itself_is_not_compared_and_the_rest_is(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    encoder = pick_encoder(await client.models(), None)
    spec = IndexSpec(index_name, encoder, source_fields=("text",), settings={"number_of_shards": 1})
    await set_up(engine, spec)
    await fill(engine, index_name, 60)
    with DeadLetters(None) as dead:
        run = ReconcileRun(engine, client, index_name, dead)
        assert (await run.run()).scanned == 60
        await partial_update(engine, index_name, "d3", {"text": "A bicycle with three wheels"})
        await engine.bulk([BulkAction(index_name, "d60", document(60))], refresh=True)
        summary = await run.run()
    assert (summary.scanned, summary.missing, summary.changed) == (62, 61, 1)
    wanted = expected(61)
    wanted["d3"]["text"] = "A bicycle with three wheels"
    await require_right(engine, client, index_name, [*wanted], wanted)


async def test_vectors_of_another_model_are_replaced_as_a_whole(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    meta = await engine.index_meta(bare_index)
    vector = SparseVector((1, 2), (2.0, 1.0), ("old", "terms"))
    fields = engine.dialect.document_fields(meta.vector_field, vector, "ee" * 32)
    hashes = {meta.hash_field: text_hash(str(document(0)["text"]))}
    await engine.bulk([BulkAction(bare_index, "d0", {**document(0), **fields, **hashes})], refresh=True)
    summary = await reconcile(engine, client, bare_index)
    assert (summary.outdated, summary.written) == (1, 1)
    await require_right(engine, client, bare_index, ["d0"], expected(1))


async def test_changed_texts_are_found_by_their_hashes(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, 30)
    await reconcile(engine, client, bare_index)
    await partial_update(engine, bare_index, "d3", {"text": "A bicycle with three wheels"})
    await partial_update(engine, bare_index, "d4", {"price": 1_000})
    quick = await reconcile(engine, client, bare_index, ReconcileOptions(changed=False))
    assert quick.found == 0
    summary = await reconcile(engine, client, bare_index)
    assert (summary.changed, summary.written) == (1, 1)
    wanted = expected(30)
    wanted["d3"]["text"], wanted["d4"]["price"] = "A bicycle with three wheels", 1_000
    await require_right(engine, client, bare_index, [*wanted], wanted)


async def test_documents_without_text_are_done_without_a_vector(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await engine.bulk([BulkAction(bare_index, "d0", {"price": 1}), BulkAction(bare_index, "d1", {"text": " "})])
    first = await reconcile(engine, client, bare_index)
    assert (first.written, first.without_vector) == (2, 2)
    assert (await reconcile(engine, client, bare_index)).found == 0
    await partial_update(engine, bare_index, "d1", {"text": "A lamp"})
    given = await reconcile(engine, client, bare_index)
    assert (given.changed, given.written, given.without_vector) == (1, 1, 0)
    await partial_update(engine, bare_index, "d1", {"text": ""})
    taken = await reconcile(engine, client, bare_index)
    assert (taken.changed, taken.written, taken.without_vector) == (1, 1, 1)
    meta = await engine.index_meta(bare_index)
    stored = await engine.get(bare_index, "d1")
    assert stored == {"text": "", meta.hash_field: text_hash("")}


async def test_newer_writes_win(opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    """Between the reading of a document and the writing of its vector, an application changes it."""
    await fill(engine, bare_index, 40)
    changed: list[bool] = []

    async def change(_body: bytes) -> None:
        if not changed:
            changed.append(True)
            await partial_update(engine, bare_index, "d1", {"price": 777})
            await partial_update(engine, bare_index, "d2", {"text": "A wholly different thing"})
            replaced = BulkAction(bare_index, "d3", {"text": "Another one", "price": 5})
            await engine.bulk([replaced])
            await engine.send("DELETE", f"/{bare_index}/_doc/d4")

    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as watched:
        proxy.before = change
        summary = await reconcile(watched, client, bare_index)
    assert (summary.written, summary.gone, summary.left) == (39, 1, 0)
    wanted = expected(40)
    wanted["d1"]["price"] = 777
    wanted["d2"]["text"] = "A wholly different thing"
    wanted["d3"] = {"text": "Another one", "price": 5}
    del wanted["d4"]
    await require_right(engine, client, bare_index, [*expected(40)], wanted)


async def test_two_at_once_do_the_work_of_one(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    await fill(engine, bare_index, 120)
    both = await asyncio.gather(*(reconcile(engine, client, bare_index) for _ in range(2)))
    assert sum(one.written for one in both) == 120
    held = await require_right(engine, client, bare_index, [*expected(120)], expected(120))
    assert repeated_writes(held, []) == 0


async def test_only_where_it_is_wanted(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    await fill(engine, bare_index, 60)
    options = ReconcileOptions(where={"range": {"price": {"lt": 10}}})
    assert (await reconcile(engine, client, bare_index, options)).written == 10
    wrong = ReconcileOptions(where={"no_such_query": {}})
    with pytest.raises(EngineRejected):
        await reconcile(engine, client, bare_index, wrong)


async def test_routed_documents_behind_an_alias(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    encoder = pick_encoder(await client.models())
    second = f"{bare_index}-second"
    await set_up(engine, IndexSpec(second, encoder, source_fields=("text",), settings={"number_of_shards": 3}))
    try:
        await engine.bulk(
            [BulkAction(second, f"r{n}", document(n), routing=f"customer{n % 4}") for n in range(20)], refresh=True
        )
        await fill(engine, bare_index, 20)
        actions = [{"add": {"index": name, "alias": f"{bare_index}-both"}} for name in (bare_index, second)]
        await engine.send("POST", "/_aliases", {"actions": actions})
        assert (await reconcile(engine, client, f"{bare_index}-both")).written == 40
        meta = await engine.index_meta(second)
        present = engine.dialect.presence_filter(meta.vector_field, meta.fingerprint)
        await engine.refresh(second)
        assert await engine.count(second, present) == await engine.count(second) == 20
    finally:
        await engine.delete_index(second)


async def test_scrolling_where_a_point_in_time_is_refused(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, 90)
    path = f"/{bare_index}/_search/point_in_time"
    async with faulty_proxy(opensearch.url, only=path) as proxy, await Engine.connect(proxy.url) as older:
        proxy.play([Status(403)] * 10)
        options = ReconcileOptions(slices=2, page_documents=13)
        assert (await reconcile(older, client, bare_index, options)).written == 90
        assert ("POST", "/_search/scroll") in proxy.requests
        assert ("DELETE", "/_search/scroll") in proxy.requests
    await require_right(engine, client, bare_index, [*expected(90)], expected(90))


async def test_texts_that_can_not_be_encoded_are_put_aside_once(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, tmp_path: Path
) -> None:
    await fill(engine, bare_index, 20)
    await partial_update(engine, bare_index, "d7", {"text": "lamp " * 1_000})
    letters = tmp_path / "dead.jsonl"
    with pytest.raises(DocumentsNotWritten, match="1 documents could not be encoded"):
        await reconcile(engine, client, bare_index, ReconcileOptions(max_text_bytes=1_000), letters)
    (letter,) = letters.read_text().splitlines()
    assert '"reason":"TEXT_TOO_LARGE"' in letter
    assert "lamp" not in letter, "what is in the index stays there"
    assert (await reconcile(engine, client, bare_index)).written == 1


async def test_following_until_it_is_stopped(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    await fill(engine, bare_index, 10)
    enough = asyncio.Event()

    def watch(now: ReconcileSummary, _doing: str, _total: int) -> None:
        if now.written == 10 and not added:
            added.append(asyncio.ensure_future(fill(engine, bare_index, 12)))
        if now.written >= 22:
            enough.set()

    added: list[asyncio.Future[None]] = []
    options = ReconcileOptions(follow=True, interval=1.0, limits=Limits(rate=1_000.0))
    with DeadLetters(None) as dead:
        run = ReconcileRun(engine, client, bare_index, dead, options, progress=watch)
        task = asyncio.ensure_future(run.run())
        await asyncio.wait_for(enough.wait(), 240.0)
        run.stop()
        summary = await task
    await added[0]
    assert (summary.written, summary.failed, summary.left) == (22, 0, 0)
    await require_right(engine, client, bare_index, [*expected(12)], expected(12))


async def test_a_stopped_run_says_that_it_is_not_done(
    engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, 200)
    options = ReconcileOptions(page_documents=10, batch_documents=4, in_flight=1, write_documents=4)
    with DeadLetters(None) as dead:

        def stop(now: ReconcileSummary, _doing: str, _total: int) -> None:
            if now.written:
                run.stop()

        run = ReconcileRun(engine, client, bare_index, dead, options, progress=stop)
        with pytest.raises(DocumentsNotWritten, match="stopped before its end"):
            await run.run()
    assert 0 < run.summary.written < 200
    assert (await reconcile(engine, client, bare_index)).written == 200 - run.summary.written


async def test_an_index_of_another_model_is_left_alone(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    encoder = replace(pick_encoder(await client.models()), name="predecessor", fingerprint="ff" * 32)
    await set_up(engine, IndexSpec(index_name, encoder))
    with pytest.raises(FingerprintMismatch, match="predecessor"):
        await reconcile(engine, client, index_name)


async def test_an_index_that_was_never_set_up(engine: Engine, client: AsyncSidecarClient, index_name: str) -> None:
    await engine.create_index(index_name, {})
    await fill(engine, index_name, 1)
    with pytest.raises(IndexNotPrepared):
        await reconcile(engine, client, index_name)


async def test_an_index_that_refuses_writes_says_so(
    opensearch: Node, client: AsyncSidecarClient, engine: Engine, bare_index: str
) -> None:
    await fill(engine, bare_index, 3)
    await engine.send("PUT", f"/{bare_index}/_block/write")
    fruitless = BulkPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, held_up_seconds=0.0)
    async with await Engine.connect(opensearch.url, bulk=fruitless) as refused:
        with pytest.raises(EngineUnavailable, match=r"cluster_block_exception.*write \(api\)"):
            await reconcile(refused, client, bare_index, ReconcileOptions(patience=0.0))
    await engine.send("PUT", f"/{bare_index}/_settings", {"index.blocks.write": None})
    assert (await reconcile(engine, client, bare_index)).written == 3
