"""Indices with passages: written, reconciled and searched on real nodes, through real sidecars."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    AsyncSparseWriter,
    IndexOptions,
    WriterOptions,
)
from sidecar.cluster.doctor import examine, gather
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.cluster.spec import PASSAGE_FIELD
from sidecar.cluster.writer import Stage
from sidecar.domain import Document, JsonObject, WindowPolicy, Windows
from sidecar.engine import BulkOperation, Engine
from sidecar.errors import DocumentsNotWritten
from sidecar.server.process import SidecarProcess
from tests.support.faults import bulk_actions, faulty_proxy
from tests.support.nodes import Node
from tests.support.passages import MODEL, RULE, documents, fill, long_text, prepare, put, reconcile, require_passages

pytestmark = pytest.mark.integration


@pytest.fixture
async def prepared(engine: Engine, client: AsyncSidecarClient, index_name: str) -> str:
    await prepare(engine, client, index_name)
    return index_name


async def test_texts_of_which_no_word_is_left_are_found_once(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    """Punctuation and characters that nobody sees are passages too, if with a sentinel alone."""
    texts = ["...", "!?", "\u200b", "\u00ad\u200d\ufeff", "\x00\x01", "[PAD] [CLS]", "\ufffd", "\x1c\x85", " \u3000 "]
    await put(engine, prepared, {f"p{place}": {"text": text} for place, text in enumerate(texts)})
    first = await reconcile(engine, client, prepared)
    assert (first.written, first.without_vector) == (len(texts), 2)
    assert (await reconcile(engine, client, prepared)).found == 0


async def test_indexing_writes_a_vector_for_each_passage(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    held = {**documents(20), "short": {"text": "the lion"}, "bare": {"text": " "}}
    summary = await fill(engine, client, prepared, held, IndexOptions(batch_documents=7))
    assert (summary.written, summary.without_vector, summary.truncated, summary.failed) == (22, 1, 0, 0)
    await require_passages(engine, client, prepared, ["d0", "d19", "short", "bare"])
    assert await engine.count(prepared) == 22
    assert (await reconcile(engine, client, prepared)).found == 0
    evidence = await gather(engine, prepared)
    assert (evidence.documents, evidence.hashed, evidence.present) == (22, 22, 21)
    assert len(evidence.vectors()) > 22 * 3
    assert {one.check for one in examine(evidence)} <= {"presence", "disk", "heap"}
    table = await refresh_frequencies(engine, client, prepared, model=MODEL)
    assert table.sampled == 21


async def test_a_text_beyond_the_bound_is_told_of_or_refused(
    engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path
) -> None:
    held: dict[str, JsonObject] = {
        "long": {"text": long_text(1, 3 * RULE.limit * RULE.words)},
        "d1": documents(2)["d1"],
    }
    summary = await fill(engine, client, prepared, held)
    assert (summary.written, summary.truncated) == (2, 1)
    stored = await engine.get(prepared, "long")
    assert stored is not None
    assert len(stored[PASSAGE_FIELD]) == RULE.limit
    letters = tmp_path / "letters.jsonl"
    with pytest.raises(DocumentsNotWritten):
        await fill(engine, client, prepared, held, IndexOptions(windows=Windows(WindowPolicy.REFUSE)), letters)
    letter = orjson.loads(letters.read_bytes())
    assert (letter["id"], letter["stage"], letter["reason"]) == ("long", "encode", "TEXT_TOO_LONG")


async def test_the_writer_writes_passages_and_every_document_has_its_own_fate(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    writer = AsyncSparseWriter(engine, client, prepared, model=MODEL)
    good = documents(3)
    outcomes = await writer.write(
        [
            Document("d0", good["d0"]),
            Document("broken", {"text": f"{long_text(4)} \ud800 {long_text(5)}"}),
            Document("d1", good["d1"]),
            Document("bare", {"text": ""}),
            Document("long", {"text": long_text(1, 3 * RULE.limit * RULE.words)}),
        ],
        refresh=True,
    )
    assert [(one.id, one.stage, one.has_vector, one.truncated) for one in outcomes] == [
        ("d0", None, True, False),
        ("broken", Stage.ENCODE, False, False),
        ("d1", None, True, False),
        ("bare", None, False, False),
        ("long", None, True, True),
    ]
    await require_passages(engine, client, prepared, ["d0", "d1", "bare"])
    (again,) = await writer.write([Document("d0", good["d2"])], mode=BulkOperation.CREATE)
    assert again.reason == "version_conflict_engine_exception"
    refusing = WriterOptions(windows=Windows(WindowPolicy.REFUSE))
    (refused,) = await AsyncSparseWriter(engine, client, prepared, refusing, model=MODEL).write(
        [Document("long", {"text": long_text(1, 3 * RULE.limit * RULE.words)})]
    )
    assert (refused.stage, refused.reason) == (Stage.ENCODE, "TEXT_TOO_LONG")


async def test_reconcile_finds_what_is_missing_outdated_and_changed(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    held = documents(12)
    await put(engine, prepared, held)
    first = await reconcile(engine, client, prepared)
    assert (first.missing, first.written) == (12, 12)
    # A shorter text has fewer passages: the old ones must not survive.
    for name, change in (("d1", {"text": "the lion near the river"}), ("d2", {"text": long_text(30, 300)})):
        await engine.send("POST", f"/{prepared}/_update/{name}?refresh=true", {"doc": change})
    await engine.send("POST", f"/{prepared}/_update/d3?refresh=true", {"doc": {"price": 3}})
    meta = await engine.index_meta(prepared)
    hashed = {**held["d4"], meta.hash_field: text_hash(source_text("d4", held["d4"], meta))}
    await put(engine, prepared, {"d4": hashed, "new": held["d5"], "d6": {"text": ""}})
    second = await reconcile(engine, client, prepared)
    assert (second.changed, second.outdated, second.missing, second.written) == (2, 1, 2, 5)
    await require_passages(engine, client, prepared, [*held, "new"])
    kept = await engine.get(prepared, "d3")
    assert kept is not None
    assert kept["price"] == 3
    assert (await reconcile(engine, client, prepared)).found == 0
    small = await engine.get(prepared, "d1")
    assert small is not None
    assert len(small[PASSAGE_FIELD]) == 1


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_run_that_is_killed_half_way_is_finished_by_the_next(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, sidecar_process: SidecarProcess, prepared: str
) -> None:
    held = documents(60)
    await put(engine, prepared, held)
    written = 0
    killed = asyncio.Event()
    async with faulty_proxy(opensearch.url) as proxy:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "reconcile", "--index", prepared, "--model", MODEL, "--rate", "10"),
            env={**os.environ, "SIDECAR_ENGINE": proxy.url, "SIDECAR_TARGET": sidecar_process.target},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

        async def kill(body: bytes) -> None:
            nonlocal written
            written += len(bulk_actions(body))
            if written >= 20 and not killed.is_set():
                process.send_signal(signal.SIGKILL)
                killed.set()

        proxy.after = kill
        await asyncio.wait_for(killed.wait(), 200.0)
        await process.wait()
    assert 20 <= written < 60
    summary = await reconcile(engine, client, prepared)
    assert (summary.found, summary.written) == (60 - written, 60 - written)
    await require_passages(engine, client, prepared, list(held))
    assert (await reconcile(engine, client, prepared)).found == 0
