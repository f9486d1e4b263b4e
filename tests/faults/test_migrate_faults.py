"""What goes away while an index is migrated: the process itself, the sidecar, the cluster, an answer."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.migrate import drop, filling, mark_verified, rollback, status, swap, verify
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.domain import JsonObject
from sidecar.engine import Engine, MigrationState
from sidecar.errors import EngineError, EngineRejected, EngineUnavailable
from sidecar.search import AsyncSearcher
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, Status, faulty_proxy
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
    text_of,
)
from tests.support.nodes import Node
from tests.support.outages import Killer, failing_node, failing_sidecar
from tests.support.shell import Shell, ended

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

DOCUMENTS = 240
QUERIES = ["lion river", "the wolf and the bear", "fox 3"]
SMALL = ReconcileOptions(batch_documents=8, in_flight=2, write_documents=16, page_documents=50)


async def require_searched(
    engine: Engine, client: AsyncSidecarClient, index: str, held: Mapping[str, JsonObject], model: str
) -> None:
    """Searches are answered by this model, with the exact scores of the documents as they are."""
    await engine.refresh(index)
    judge = await Judge.of(client, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    searcher = AsyncSearcher(engine, client, SPARSE, index=index)
    for query in QUERIES:
        assert judge.model_of(query, await searcher.search(query)) == model


async def finish(engine: Engine, client: AsyncSidecarClient, index: str, held: Mapping[str, JsonObject]) -> None:
    """What is left of a migration after its filling goes through, and the documents are those that they must be."""
    found = await verify(engine, client, index)
    assert found.passed, found.problems
    assert found.counts.documents == len(held)
    await mark_verified(engine, found)
    await require_searched(engine, client, index, held, OLD)
    await swap(engine, index)
    await require_searched(engine, client, index, held, NEW)
    removed = await drop(engine, index, settle=0.0)
    assert removed.documents == len(held)
    meta = await engine.index_meta(index)
    for name, source in held.items():
        stored = await engine.get(index, name)
        assert stored is not None
        assert {
            key: value for key, value in stored.items() if key not in {meta.vector_field, meta.hash_field}
        } == source
    await require_searched(engine, client, index, held, NEW)


async def test_a_start_that_is_killed_is_repeated(
    opensearch: Node,
    engine: Engine,
    both: AsyncSidecarClient,
    two_models: SidecarProcess,
    index_name: str,
    tmp_path: Path,
) -> None:
    """Between two kills, documents are changed, added and deleted."""
    held = documents(DOCUMENTS)
    await prepare_old(engine, both, index_name, held)
    command = ("migrate", "start", "--index", index_name, "--model", NEW, "--json", "--rate", "120")
    async with faulty_proxy(opensearch.url) as proxy:
        killer = Killer(proxy, [DOCUMENTS // 5, DOCUMENTS // 2, DOCUMENTS * 4 // 5], [True, False, True])
        shell = Shell(tmp_path, proxy.url, two_models.target)
        for turn in range(3):
            process = killer.process = await shell.start(*command)
            await ended(process, -signal.SIGKILL)
            found = await status(engine, index_name)
            assert found.record is not None
            assert found.record.state is MigrationState.FILLING
            changed = {f"d{turn}": {"text": text_of(turn, 3)}, f"new{turn}": {"text": text_of(turn, 5)}}
            await put(engine, index_name, changed)
            await engine.send("DELETE", f"/{index_name}/_doc/d{10 + turn}?refresh=true")
            held |= changed
            del held[f"d{10 + turn}"]
        done = await shell.run(*command)
    figures = orjson.loads(done.stdout)
    assert figures["found"] == figures["written"] + figures["unneeded"] + figures["gone"]
    assert figures["written"] < DOCUMENTS, "what the killed ones had written was not written again"
    # The old model's field lacks what the application wrote: that is what `sidecar reconcile` is for.
    done = await Shell(tmp_path, opensearch.url, two_models.target).run("reconcile", "--index", index_name)
    assert "both of its models" in done.stderr
    await finish(engine, both, index_name, held)


async def test_a_sidecar_that_is_restarted(
    engine: Engine, index_name: str, tiny_idf_bundle: Path, tiny_own_terms_bundle: Path
) -> None:
    held = documents(DOCUMENTS)
    bundles = (tiny_idf_bundle, tiny_own_terms_bundle)
    async with failing_sidecar(bundles, DOCUMENTS // 4) as (client, outage):
        await prepare_old(engine, client, index_name, held)
        await begin(engine, client, index_name)
        with DeadLetters(None) as letters:
            run = await filling(engine, client, index_name, letters, SMALL, progress=outage.progress)
            summary = await run.run()
        await outage.over()
        assert (summary.written, summary.left) == (DOCUMENTS, 0)
        await finish(engine, client, index_name, held)


async def test_a_node_that_is_killed_and_started_on_its_data(both: AsyncSidecarClient, tmp_path: Path) -> None:
    held = documents(DOCUMENTS)
    async with failing_node(tmp_path / "data", DOCUMENTS // 4) as (engine, outage):
        await prepare_old(engine, both, "killed", held)
        await begin(engine, both, "killed")
        with DeadLetters(None) as letters:
            run = await filling(engine, both, "killed", letters, SMALL, progress=outage.progress)
            summary = await run.run()
        await outage.over()
        assert summary.left == 0
        found = await status(engine, "killed")
        assert found.record is not None
        assert found.record.state is MigrationState.FILLING, "the record outlives the node"
        await finish(engine, both, "killed", held)


@pytest.mark.parametrize("fault", [Cut.BEFORE, Cut.AFTER, Status(503)])
async def test_a_switch_whose_answer_is_lost(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, index_name: str, fault: Cut | Status
) -> None:
    """The index is searched by the one model or the other, never by half of each, and the same command goes through."""
    held = documents(20)
    await prepare_old(engine, both, index_name, held)
    await rolled_out(engine, both, index_name)
    async with faulty_proxy(opensearch.url, only="/_mapping") as proxy, await Engine.connect(proxy.url) as unlucky:
        for switch, before, after in ((swap, OLD, NEW), (rollback, NEW, OLD)):
            # Read twice (the state, and `_meta` before it is written), then the fault meets the writing itself.
            # The HTTP client repeats it once where a connection that was in use is cut.
            proxy.play([None, None, *[fault] * (2 if isinstance(fault, Cut) else 1)])
            with pytest.raises(EngineError):
                await switch(unlucky, index_name)
            assert not proxy.script
            await require_searched(engine, both, index_name, held, after if fault is Cut.AFTER else before)
            await switch(unlucky, index_name)
            await require_searched(engine, both, index_name, held, after)


async def test_somebody_else_writes_the_record_at_the_same_time(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    """A cluster knows no conditional writing of a mapping: a lost update is noticed, and repeated."""
    await prepare_old(engine, both, index_name, documents(10))
    await rolled_out(engine, both, index_name)
    stale = (await engine.mappings(index_name))[index_name]["_meta"]
    overwritten: list[bool] = []

    async def overwrite(body: bytes) -> None:
        if b"swapped" in body and not overwritten:
            overwritten.append(True)
            await engine.put_mapping(index_name, {"_meta": stale})

    async with faulty_proxy(opensearch.url, only="/_mapping") as proxy, await Engine.connect(proxy.url) as unlucky:
        proxy.after = overwrite
        with pytest.raises(EngineUnavailable, match="at the same time"):
            await swap(unlucky, index_name)
        assert (await swap(unlucky, index_name)).state is MigrationState.SWAPPED
    assert (await engine.index_meta(index_name)).bundle == NEW


async def test_a_drop_through_a_cluster_that_stumbles(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    held = documents(60)
    await prepare_old(engine, both, index_name, held)
    await begin(engine, both, index_name)
    await fill_new(engine, both, index_name)
    await swap(engine, index_name, force=True)
    path = "/_update_by_query"
    async with faulty_proxy(opensearch.url, only=path) as proxy, await Engine.connect(proxy.url) as unlucky:
        proxy.play([Status(400)])
        with pytest.raises(EngineRejected):
            await drop(unlucky, index_name, settle=0.0)
        found = await status(engine, index_name)
        assert found.record is not None
        assert found.record.state is MigrationState.DROPPING
        await require_searched(engine, both, index_name, held, NEW)
        proxy.play([Status(429), Cut.BEFORE, Cut.AFTER])
        await drop(unlucky, index_name, settle=0.0)
        assert len([path for _, path in proxy.requests if path.endswith("/_update_by_query")]) >= 3
    assert (await status(engine, index_name)).record is None
    await require_searched(engine, both, index_name, held, NEW)
