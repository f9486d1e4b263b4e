"""Indexing through a real sidecar into a real node."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    DeadLetters,
    IndexOptions,
    IndexRun,
    IndexSpec,
    IndexSummary,
    Source,
    pick_encoder,
    set_up,
)
from sidecar.cluster.documents import text_hash
from sidecar.domain import ModelInfo, Side, WindowPolicy, Windows
from sidecar.engine import BulkPolicy, Engine, dialect_named
from sidecar.errors import (
    DocumentsNotWritten,
    EngineRejected,
    EngineUnavailable,
    FingerprintMismatch,
    IndexNotFound,
    SidecarUnavailable,
    UnknownModel,
)
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, Items, Status, faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

FRUITLESS = BulkPolicy(attempts=2, first_wait=0.001, longest_wait=0.002, timeout=5.0)


def corpus(count: int) -> list[dict[str, object]]:
    return [
        {"_id": f"d{n}", "title": f"Document {n}", "text": f"what the search says about the query {n}"}
        for n in range(count)
    ]


def source(documents: list[dict[str, object] | bytes]) -> Source:
    data = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in documents)
    return Source(io.BytesIO(data), "_id", len(data))


@pytest.fixture
async def client(sidecar_process: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as connected:
        yield connected


@pytest.fixture
async def encoder(client: AsyncSidecarClient) -> ModelInfo:
    return pick_encoder(await client.models())


@pytest.fixture
async def prepared(engine: Engine, index_name: str, encoder: ModelInfo) -> str:
    await set_up(engine, IndexSpec(index_name, encoder, settings={"number_of_shards": 1}))
    return index_name


async def run(
    engine: Engine,
    client: AsyncSidecarClient,
    index: str,
    documents: list[dict[str, object] | bytes],
    letters: Path | None = None,
    options: IndexOptions | None = None,
) -> IndexSummary:
    with DeadLetters(letters) as dead:
        one = IndexRun(engine, client, index, source(documents), dead, options)
        try:
            return await one.run()
        except DocumentsNotWritten:
            assert one.summary.read == one.summary.written + one.summary.failed
            assert one.summary.failed == dead.count
            raise


def letters_in(file: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


async def test_every_document_is_there_with_its_vector(
    engine: Engine, client: AsyncSidecarClient, prepared: str, encoder: ModelInfo
) -> None:
    documents = corpus(150)
    seen: list[IndexSummary] = []
    with DeadLetters(None) as dead:
        summary = await IndexRun(
            engine, client, prepared, source([*documents]), dead, progress=lambda now: seen.append(now)
        ).run()
    assert (summary.read, summary.encoded, summary.written, summary.failed, summary.left) == (150, 150, 150, 0, 0)
    assert seen[-1] == summary
    assert summary.documents_per_second > 0
    assert await engine.count(prepared) == 150
    present = engine.dialect.presence_filter("splade", encoder.fingerprint)
    assert await engine.count(prepared, present) == 150
    stored = await engine.get(prepared, "d7")
    assert stored is not None
    text = "Document 7 what the search says about the query 7"
    assert stored["splade_hash"] == text_hash(text)
    answer = await client.encode([text], model=encoder.name, return_terms=True)
    expected = dialect_named("rank_features").document_features(answer.encodings[0].vector, encoder.fingerprint)
    assert stored["splade"] == pytest.approx(expected, rel=1e-3)


async def test_what_is_indexed_is_found_with_the_exact_score(
    engine: Engine, client: AsyncSidecarClient, prepared: str, encoder: ModelInfo
) -> None:
    documents = corpus(40)
    await run(engine, client, prepared, [*documents])
    texts = [f"{one['title']} {one['text']}" for one in documents]
    vectors = (await client.encode(texts, return_terms=True, model=encoder.name)).encodings
    query = (await client.encode(["search query 3"], side=Side.QUERY, return_terms=True)).encodings[0].vector
    body = {"query": engine.dialect.sparse_query("splade", query), "size": 40}
    found = {hit.id: hit.score for hit in (await engine.search(prepared, body)).hits}
    exact = {f"d{n}": encoding.vector.dot(query) for n, encoding in enumerate(vectors)}
    assert found == pytest.approx({key: score for key, score in exact.items() if score > 0}, rel=5e-3)


async def test_indexing_twice_is_indexing_once(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    for _ in range(2):
        assert (await run(engine, client, prepared, [*corpus(20)])).written == 20
    assert await engine.count(prepared) == 20


async def test_bad_documents_go_aside_with_their_reasons(
    engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path, encoder: ModelInfo
) -> None:
    dead = tmp_path / "dead.jsonl"
    documents: list[dict[str, object] | bytes] = [
        {"_id": "good", "text": "the search", "n": 1},
        b"{not json",
        {"text": "without an id"},
        {"_id": "blank", "title": " ", "text": ""},
        {"_id": "numbers", "text": 7},
        {"_id": "large", "text": "search " * 400_000},
        {"_id": "conflict", "text": "the query", "n": "no number"},
        {"_id": "x" * 600, "text": "too long an id"},
        {"_id": "punctuation", "text": "... !!! ???"},
        b'{"_id": "surrogate", "text": "\\ud800"}',
        {"_id": "last", "text": "the document"},
    ]
    # A text field over a number is taken by clusters as text; `n` has to be a number to conflict.
    await engine.put_mapping(prepared, {"properties": {"n": {"type": "integer"}}})
    with pytest.raises(DocumentsNotWritten, match="6 of 11") as caught:
        await run(engine, client, prepared, documents, dead)
    assert str(dead) in caught.value.message
    letters = letters_in(dead)
    assert {(letter["line"], letter["id"], letter["stage"], letter["reason"]) for letter in letters} == {
        (2, None, "read", "MALFORMED_LINE"),
        (3, None, "read", "MISSING_ID"),
        (6, "large", "encode", "TEXT_TOO_LARGE"),
        (7, "conflict", "write", "mapper_parsing_exception"),
        (8, "x" * 600, "encode", "INVALID_INPUT"),
        (10, None, "read", "MALFORMED_LINE"),
    }
    assert next(letter for letter in letters if letter["line"] == 7)["document"] == {
        "text": "the query",
        "n": "no number",
    }
    await engine.refresh(prepared)
    assert await engine.count(prepared) == 5
    present = engine.dialect.presence_filter("splade", encoder.fingerprint)
    without = await engine.search(prepared, {"query": {"bool": {"must_not": [present]}}})
    assert {hit.id for hit in without.hits} == {"blank", "numbers"}


async def test_a_text_the_sidecar_refuses_costs_only_itself(
    engine: Engine, start_sidecar: object, index_name: str, tmp_path: Path
) -> None:
    """The sidecar's own limit is lower than ours here: it blames one text of a batch, the others go on."""
    started = await start_sidecar(max_text_bytes=2_000)
    async with AsyncSidecarClient(started.target, timeout=60.0) as client:
        await set_up(engine, IndexSpec(index_name, pick_encoder(await client.models())))
        documents = corpus(40)
        for place in (3, 17, 38):
            documents[place]["text"] = "search " * 1_000
        with pytest.raises(DocumentsNotWritten, match="3 of 40"):
            await run(engine, client, index_name, [*documents], tmp_path / "dead.jsonl")
    assert {(one["id"], one["reason"]) for one in letters_in(tmp_path / "dead.jsonl")} == {
        (f"d{place}", "TEXT_TOO_LARGE") for place in (3, 17, 38)
    }
    await engine.refresh(index_name)
    assert await engine.count(index_name) == 37


async def test_long_texts_are_read_whole_unless_their_head_is_wanted(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    documents: list[dict[str, object] | bytes] = [{"_id": "long", "text": "search query document " * 200}]
    assert (await run(engine, client, prepared, documents)).truncated == 0
    head = IndexOptions(windows=Windows(WindowPolicy.TRUNCATE))
    assert (await run(engine, client, prepared, documents, options=head)).truncated == 1


async def test_an_empty_source(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    assert (await run(engine, client, prepared, [])).read == 0


async def test_an_index_of_another_model_is_refused_before_anything_is_written(
    engine: Engine, client: AsyncSidecarClient, index_name: str, encoder: ModelInfo
) -> None:
    await set_up(engine, IndexSpec(index_name, replace(encoder, name="predecessor", fingerprint="ff" * 32)))
    with pytest.raises(FingerprintMismatch, match="predecessor"):
        await run(engine, client, index_name, [*corpus(3)])
    assert await engine.count(index_name) == 0


async def test_an_index_that_was_never_made(engine: Engine, client: AsyncSidecarClient) -> None:
    with pytest.raises(IndexNotFound):
        await run(engine, client, "test-no-such-index", [*corpus(1)])
    assert not await engine.index_exists("test-no-such-index")


async def test_a_model_nobody_serves(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    with DeadLetters(None) as dead, pytest.raises(UnknownModel):
        await IndexRun(engine, client, prepared, source([]), dead, model="nobody").run()


@pytest.mark.faults
async def test_faults_on_the_way_lose_nothing(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    patient = BulkPolicy(attempts=9, first_wait=0.001, longest_wait=0.01)
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=patient) as unlucky:
        proxy.play(
            [
                Status(429),
                Cut.AFTER,
                Items(429, frozenset({0, 3, 5})),
                Cut.BEFORE,
                Status(503),
                Items(503, frozenset({1})),
            ]
        )
        summary = await run(unlucky, client, prepared, [*corpus(200)])
        assert not proxy.script
    assert (summary.written, summary.failed) == (200, 0)
    assert await engine.count(prepared) == 200


@pytest.mark.faults
async def test_a_cluster_that_goes_away_in_the_middle(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path
) -> None:
    options = IndexOptions(batch_documents=4, write_documents=8, queued_batches=1)
    dead = tmp_path / "dead.jsonl"
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=FRUITLESS) as unlucky:
        proxy.play([None, None] + [Cut.BEFORE] * 500)
        with DeadLetters(dead) as letters:
            one = IndexRun(unlucky, client, prepared, source([*corpus(500)]), letters, options)
            with pytest.raises(EngineUnavailable, match="Run the same command again"):
                await one.run()
        summary = one.summary
        assert 0 < summary.written < 500
        assert summary.failed == len(letters_in(dead)) > 0
        assert summary.left == summary.read - summary.written - summary.failed >= 0
        assert summary.read < 500, "what nobody takes is not read for ever"
        await engine.refresh(prepared)
        assert await engine.count(prepared) == summary.written
        proxy.play([])
        assert (await run(unlucky, client, prepared, [*corpus(500)])).written == 500
    assert await engine.count(prepared) == 500


@pytest.mark.faults
async def test_a_cluster_that_refuses_everything_is_not_asked_for_ever(
    opensearch: Node, client: AsyncSidecarClient, prepared: str
) -> None:
    options = IndexOptions(batch_documents=4, write_documents=8, queued_batches=1)
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=FRUITLESS) as unlucky:
        proxy.play([Status(403)] * 500)
        with DeadLetters(None) as letters, pytest.raises(EngineRejected, match="not allow"):
            await IndexRun(unlucky, client, prepared, source([*corpus(300)]), letters, options).run()
        assert sum(path == "/_bulk" for _, path in proxy.requests) == 1


async def test_an_index_that_refuses_writes_is_not_asked_for_ever(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path
) -> None:
    options = IndexOptions(batch_documents=4, write_documents=8, queued_batches=1)
    dead = tmp_path / "dead.jsonl"
    await engine.send("PUT", f"/{prepared}/_block/write")
    async with await Engine.connect(opensearch.url, bulk=FRUITLESS) as unlucky:
        with DeadLetters(dead) as letters:
            one = IndexRun(unlucky, client, prepared, source([*corpus(300)]), letters, options)
            with pytest.raises(EngineRejected, match=r"refuses writes: index \[.* 0 documents are written"):
                await one.run()
    assert 0 < one.summary.failed == len(letters_in(dead)) <= 16
    await engine.send("PUT", f"/{prepared}/_settings", {"index.blocks.write": None})
    assert (await run(engine, client, prepared, [*corpus(300)])).written == 300


@pytest.mark.faults
async def test_a_document_that_no_request_can_hold_costs_only_itself(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path
) -> None:
    dead = tmp_path / "dead.jsonl"
    documents = [*corpus(4)]
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=FRUITLESS) as unlucky:
        # All four, the first two of them, the first.
        proxy.play([Status(413)] * 3)
        with DeadLetters(dead) as letters:
            one = IndexRun(unlucky, client, prepared, source(documents), letters)
            with pytest.raises(DocumentsNotWritten, match="1 of 4"):
                await one.run()
    (letter,) = letters_in(dead)
    assert (letter["stage"], letter["reason"]) == ("write", "request_entity_too_large")
    assert one.summary.written == 3
    assert await engine.count(prepared) == 3


@pytest.mark.faults
async def test_a_sidecar_that_goes_away_in_the_middle(
    engine: Engine, tiny_bundles: tuple[Path, ...], index_name: str
) -> None:
    options = IndexOptions(batch_documents=4, in_flight=2)
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        async with AsyncSidecarClient(process.target, timeout=30.0) as client:
            await set_up(engine, IndexSpec(index_name, pick_encoder(await client.models())))

            def kill(now: IndexSummary) -> None:
                if now.encoded >= 40 and not killed:
                    killed.append(now)
                    os.kill(process.pid, signal.SIGKILL)

            killed: list[IndexSummary] = []
            with DeadLetters(None) as letters:
                one = IndexRun(engine, client, index_name, source([*corpus(5_000)]), letters, options, progress=kill)
                with pytest.raises(SidecarUnavailable):
                    await one.run()
    summary = one.summary
    await engine.refresh(index_name)
    assert await engine.count(index_name) == summary.written == summary.encoded, "what was encoded is written"
    assert summary.failed == 0
    assert summary.left > 0
