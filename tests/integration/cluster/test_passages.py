"""Indices with passages: written, reconciled and searched on real nodes, through real sidecars."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest

from sidecar.cli.main import main
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import (
    AsyncSparseWriter,
    DeadLetters,
    IndexOptions,
    IndexRun,
    IndexSpec,
    IndexSummary,
    Source,
    WriterOptions,
    pick_encoder,
    set_up,
    tear_down,
)
from sidecar.cluster.connectors import ConnectorSpec
from sidecar.cluster.doctor import examine, gather
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.cluster.migrate import Candidate, start
from sidecar.cluster.passages import split
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun, ReconcileSummary
from sidecar.cluster.second_index import (
    CopyRun,
    mark_second_index_verified,
    start_second_index,
    swap_indices,
    verify_second_index,
)
from sidecar.cluster.spec import PASSAGE_FIELD
from sidecar.cluster.writer import Stage
from sidecar.domain import Document, JsonObject, WindowPolicy, Windows
from sidecar.engine import BulkAction, BulkOperation, Engine, PassageRule, dialect_of
from sidecar.errors import DocumentsNotWritten, FingerprintMismatch, InvalidInput
from sidecar.server.process import SidecarProcess
from tests.support.dialects import any_model
from tests.support.faults import bulk_actions, faulty_proxy
from tests.support.migration import NEW, OLD
from tests.support.nodes import Node
from tests.support.second_index import Names

pytestmark = pytest.mark.integration

RULE = PassageRule(words=12, stride=8, limit=40)
MODEL = "tiny-idf"
BEASTS = ("lion", "bear", "wolf", "fox", "cat", "dog", "horse")


def long_text(number: int, words: int = 150) -> str:
    """Beasts in an order of their own, on every page of a long document."""
    return " ".join(f"the {BEASTS[(number + 3 * place + place * place) % 7]} {place}" for place in range(words // 3))


def documents(count: int) -> dict[str, JsonObject]:
    return {f"d{number}": {"title": f"the {BEASTS[number % 7]}", "text": long_text(number)} for number in range(count)}


@pytest.fixture
async def client(sidecar_process: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as connected:
        yield connected


@pytest.fixture
async def prepared(engine: Engine, client: AsyncSidecarClient, index_name: str) -> str:
    await prepare(engine, client, index_name)
    return index_name


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


async def test_set_up_twice_changes_nothing_and_other_values_are_refused(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    encoder = pick_encoder(await client.models(), MODEL)
    again = await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD, passages=RULE))
    assert again.requests == ()
    with pytest.raises(InvalidInput, match="passages"):
        await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD))
    other = PassageRule(RULE.words, RULE.stride, 3)
    with pytest.raises(InvalidInput, match="passages"):
        await set_up(engine, IndexSpec(prepared, encoder, vector_field=PASSAGE_FIELD, passages=other))


async def test_what_can_t_be_done_with_passages_says_what_can(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    encoder = pick_encoder(await client.models(), MODEL)
    with pytest.raises(InvalidInput, match="--connector"):
        IndexSpec("x", encoder, passages=RULE, connector=ConnectorSpec("http://127.0.0.1:1"))
    with pytest.raises(InvalidInput, match="--into"):
        await start(engine, prepared, Candidate(any_model()))


async def test_a_second_index_for_another_model_has_the_same_passages(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """Copied, kept true, verified by encoding passages anew, and switched to."""
    held = documents(15)
    encoder = pick_encoder(await both.models(), OLD)
    await set_up(engine, IndexSpec(names.first, encoder, vector_field=PASSAGE_FIELD, passages=RULE))
    await engine.send("POST", "/_aliases", {"actions": [{"add": {"index": names.first, "alias": names.alias}}]})
    await put(engine, names.alias, held)
    assert (await reconcile(engine, both, names.alias)).written == 15
    await start_second_index(engine, names.alias, names.second, pick_encoder(await both.models(), NEW))
    with DeadLetters(None) as letters:
        assert (await CopyRun(engine, both, names.alias, letters).run()).written == 15
        found = await verify_second_index(engine, both, names.alias)
        assert found.passed, found.problems
        assert found.sample.compared == 15
        await mark_second_index_verified(engine, found)
        await swap_indices(engine, both, names.alias, letters)
    meta = await engine.index_meta(names.alias)
    assert (meta.bundle, meta.passages) == (NEW, RULE)
    await require_passages(engine, both, names.alias, ["d0", "d14"], NEW)


async def test_an_alias_over_both_kinds_is_refused(engine: Engine, client: AsyncSidecarClient, prepared: str) -> None:
    other, alias = f"{prepared}-whole", f"{prepared}-alias"
    encoder = pick_encoder(await client.models(), MODEL)
    await set_up(engine, IndexSpec(other, encoder, vector_field=PASSAGE_FIELD))
    try:
        add = [{"add": {"index": name, "alias": alias}} for name in (prepared, other)]
        await engine.send("POST", "/_aliases", {"actions": add})
        with pytest.raises(FingerprintMismatch, match="passages"):
            await engine.index_meta(alias)
    finally:
        await engine.delete_index(other)


async def test_an_index_that_exists_gets_passages_and_loses_them_again(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    await engine.create_index(index_name, {"mappings": {"properties": {"text": {"type": "text"}}}})
    await put(engine, index_name, documents(5))
    encoder = pick_encoder(await client.models(), MODEL)
    fields = {"source_fields": ("text",), "lexical_field": "text", "vector_field": PASSAGE_FIELD}
    spec = IndexSpec(index_name, encoder, passages=RULE, **fields)
    await set_up(engine, spec)
    assert (await reconcile(engine, client, index_name)).written == 5
    await require_passages(engine, client, index_name, ["d0", "d4"])
    await tear_down(engine, index_name, vectors=True)
    assert await engine.get(index_name, "d4") == documents(5)["d4"]


def test_the_command_sets_passages_up(
    opensearch: Node, sidecar_process: SidecarProcess, index_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = ["--engine", opensearch.url, "--sidecar", sidecar_process.target, "--index", index_name]
    for wrong in (
        ["--passage-words", "30"],
        ["--passages", "--passage-stride", "200"],
        ["--passages", "--passage-limit", "0"],
        ["--passages", "--connector", "http://127.0.0.1:8080"],
    ):
        with pytest.raises(SystemExit):
            main(["setup", *reached, *wrong, "--dry-run"])
        assert "assage" in capsys.readouterr().err
    with pytest.raises(SystemExit) as done:
        main(["setup", *reached, "--passages", "--passage-words", "31", "--dry-run"])
    assert not done.value.code
    sent = capsys.readouterr().out
    body = orjson.loads(sent.split("\n", 1)[1])
    assert body["mappings"]["properties"][PASSAGE_FIELD]["type"] == "nested"
    assert body["mappings"]["_meta"]["splade_sidecar"]["passages"] == {"words": 31, "stride": 15, "limit": 64}


async def test_clusters_that_know_no_linear_function_have_passages_too(
    elasticsearch: Node, client: AsyncSidecarClient, index_name: str
) -> None:
    """Elasticsearch 7.10: the dialect rank_features_saturation."""
    async with await Engine.connect(elasticsearch.url) as engine:
        await prepare(engine, client, index_name)
        await put(engine, index_name, documents(8))
        assert (await reconcile(engine, client, index_name)).written == 8
        await require_passages(engine, client, index_name, ["d0", "d7"])
        assert (await engine.index_meta(index_name)).dialect == "rank_features_saturation"
        meta = await engine.index_meta(index_name)
        vector = (await client.encode(["lion"], model=MODEL, return_terms=True)).encodings[0].vector
        query = dialect_of(meta).sparse_query(meta.vector_field, vector)
        assert (await engine.search(index_name, {"query": query})).hits
