"""Indexing through a real sidecar into a real node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    DeadLetters,
    IndexOptions,
    IndexRun,
    IndexSpec,
    IndexSummary,
    pick_encoder,
    set_up,
)
from sidecar.cluster.documents import text_hash
from sidecar.domain import ModelInfo, Side, WindowPolicy, Windows
from sidecar.engine import Engine, dialect_named
from sidecar.errors import (
    DocumentsNotWritten,
    FingerprintMismatch,
    IndexNotFound,
    UnknownModel,
)
from tests.support.indexing import corpus, indexed, letters_in, source

pytestmark = pytest.mark.integration


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
    await indexed(engine, client, prepared, [*documents])
    texts = [f"{one['title']} {one['text']}" for one in documents]
    vectors = (await client.encode(texts, return_terms=True, model=encoder.name)).encodings
    query = (await client.encode(["search query 3"], side=Side.QUERY, return_terms=True)).encodings[0].vector
    body = {"query": engine.dialect.sparse_query("splade", query), "size": 40}
    found = {hit.id: hit.score for hit in (await engine.search(prepared, body)).hits}
    exact = {f"d{n}": encoding.vector.dot(query) for n, encoding in enumerate(vectors)}
    assert found == pytest.approx({key: score for key, score in exact.items() if score > 0}, rel=5e-3)


async def test_indexing_twice_is_indexing_once(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    for _ in range(2):
        assert (await indexed(engine, client, prepared, [*corpus(20)])).written == 20
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
        await indexed(engine, client, prepared, documents, dead)
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
            await indexed(engine, client, index_name, [*documents], tmp_path / "dead.jsonl")
    assert {(one["id"], one["reason"]) for one in letters_in(tmp_path / "dead.jsonl")} == {
        (f"d{place}", "TEXT_TOO_LARGE") for place in (3, 17, 38)
    }
    await engine.refresh(index_name)
    assert await engine.count(index_name) == 37


async def test_long_texts_are_read_whole_unless_their_head_is_wanted(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    documents: list[dict[str, object] | bytes] = [{"_id": "long", "text": "search query document " * 200}]
    assert (await indexed(engine, client, prepared, documents)).truncated == 0
    head = IndexOptions(windows=Windows(WindowPolicy.TRUNCATE))
    assert (await indexed(engine, client, prepared, documents, options=head)).truncated == 1


async def test_an_empty_source(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    assert (await indexed(engine, client, prepared, [])).read == 0


async def test_an_index_of_another_model_is_refused_before_anything_is_written(
    engine: Engine, client: AsyncSidecarClient, index_name: str, encoder: ModelInfo
) -> None:
    await set_up(engine, IndexSpec(index_name, replace(encoder, name="predecessor", fingerprint="ff" * 32)))
    with pytest.raises(FingerprintMismatch, match="predecessor"):
        await indexed(engine, client, index_name, [*corpus(3)])
    assert await engine.count(index_name) == 0


async def test_an_index_that_was_never_made(engine: Engine, client: AsyncSidecarClient) -> None:
    with pytest.raises(IndexNotFound):
        await indexed(engine, client, "test-no-such-index", [*corpus(1)])
    assert not await engine.index_exists("test-no-such-index")


async def test_a_model_nobody_serves(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    with DeadLetters(None) as dead, pytest.raises(UnknownModel):
        await IndexRun(engine, client, prepared, source([]), dead, model="nobody").run()
