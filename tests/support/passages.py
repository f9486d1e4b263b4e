"""Indices with passages, of documents that are long enough to have some."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.passages import split
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun, ReconcileSummary
from sidecar.cluster.spec import PASSAGE_FIELD
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine, PassageRule, dialect_of

RULE = PassageRule(words=12, stride=8, limit=40)
MODEL = "tiny-idf"
BEASTS = ("lion", "bear", "wolf", "fox", "cat", "dog", "horse")


def long_text(number: int, words: int = 150) -> str:
    """Beasts in an order of their own, on every page of a long document."""
    return " ".join(f"the {BEASTS[(number + 3 * place + place * place) % 7]} {place}" for place in range(words // 3))


def documents(count: int) -> dict[str, JsonObject]:
    return {f"d{number}": {"title": f"the {BEASTS[number % 7]}", "text": long_text(number)} for number in range(count)}


async def prepare(engine: Engine, client: AsyncSidecarClient, index: str, dialect: str | None = None) -> None:
    encoder = pick_encoder(await client.models(), MODEL)
    spec = IndexSpec(
        index,
        encoder,
        vector_field=PASSAGE_FIELD,
        settings={"number_of_shards": 2},
        passages=RULE,
        dialect=dialect,
    )
    await set_up(engine, spec)


async def fill(
    engine: Engine,
    client: AsyncSidecarClient,
    index: str,
    held: dict[str, JsonObject],
    options: IndexOptions | None = None,
    letters: Path | None = None,
) -> IndexSummary:
    lines = b"".join(orjson.dumps({"_id": name, **source}) + b"\n" for name, source in held.items())
    with DeadLetters(letters) as dead:
        run = IndexRun(engine, client, index, Source(io.BytesIO(lines), "_id", None), dead, options, model=MODEL)
        return await run.run()


async def reconcile(engine: Engine, client: AsyncSidecarClient, index: str) -> ReconcileSummary:
    with DeadLetters(None) as letters:
        return await ReconcileRun(engine, client, index, letters, ReconcileOptions(page_documents=5), model=MODEL).run()


async def put(engine: Engine, index: str, held: dict[str, JsonObject]) -> None:
    """Write documents as an application does: whole, and without vectors."""
    actions = [BulkAction(index, name, source) for name, source in held.items()]
    assert all(item.written for item in await engine.bulk(actions, refresh=True))


async def require_passages(
    engine: Engine, client: AsyncSidecarClient, index: str, names: Sequence[str], model: str = MODEL
) -> None:
    """Every document holds exactly the passages of its text, each with the vector that the model makes of it."""
    meta = await engine.index_meta(index)
    assert meta.passages is not None
    dialect = dialect_of(meta)
    for name in names:
        stored = await engine.get(index, name)
        assert stored is not None
        text = source_text(name, stored, meta)
        assert stored[meta.hash_field] == text_hash(text)
        wanted = split(text, meta.passages).passages
        held = stored.get(meta.vector_field, [])
        assert [(one["start"], one["text"]) for one in held] == [(one.start, one.text) for one in wanted]
        if wanted:
            answer = await client.encode(
                [one.text for one in wanted], model=model, pruning=meta.pruning, return_terms=True
            )
            for one, encoding in zip(held, answer.encodings, strict=True):
                features = dialect.document_features(encoding.vector, meta.fingerprint)
                assert one["vector"] == pytest.approx(features, rel=1e-3)
