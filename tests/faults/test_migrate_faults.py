"""What goes away while an index is migrated: the process itself, the sidecar, the cluster, an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.migrate import drop, filling, mark_verified, rollback, status, swap, verify
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileSummary
from sidecar.domain import JsonObject
from sidecar.engine import BulkPolicy, Engine, MigrationState
from sidecar.engine.local import LocalNode
from sidecar.errors import EngineError, EngineUnavailable
from sidecar.search import AsyncSearcher
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, FaultyProxy, Status, bulk_actions, faulty_proxy
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

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

DOCUMENTS = 240
QUERIES = ["lion river", "the wolf and the bear", "fox 3"]
SMALL = ReconcileOptions(batch_documents=8, in_flight=2, write_documents=16, page_documents=50)
QUICK = BulkPolicy(attempts=3, first_wait=0.05, longest_wait=0.5)


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


class Killer:
    """Kills the process at hand when a share of the documents is written: before the cluster sees a bulk, or after."""

    def __init__(self, proxy: FaultyProxy, shares: tuple[float, ...]) -> None:
        self.points = [int(DOCUMENTS * share) for share in shares]
        self.written = self.kills = 0
        self.process: Process | None = None
        proxy.before, proxy.after = self.before, self.after

    async def before(self, body: bytes) -> None:
        if self.kills % 2 == 0 and self._due(body):
            self._kill()

    async def after(self, body: bytes) -> None:
        if self.kills % 2 == 1 and self._due(body):
            self._kill()
        self.written += len(bulk_actions(body))

    def _due(self, body: bytes) -> bool:
        reached = self.written + len(bulk_actions(body))
        return self.process is not None and self.kills < len(self.points) and reached >= self.points[self.kills]

    def _kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process = None
        self.kills += 1


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
        killer = Killer(proxy, (0.2, 0.5, 0.8))
        environment = {**os.environ, "SIDECAR_ENGINE": proxy.url, "SIDECAR_TARGET": two_models.target}

        async def started() -> Process:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sidecar", *command, stdout=PIPE, stderr=PIPE, cwd=tmp_path, env=environment
            )

        for turn in range(3):
            process = killer.process = await started()
            _, told = await process.communicate()
            assert process.returncode == -signal.SIGKILL, told.decode()
            found = await status(engine, index_name)
            assert found.record is not None
            assert found.record.state is MigrationState.FILLING
            changed = {f"d{turn}": {"text": text_of(turn, 3)}, f"new{turn}": {"text": text_of(turn, 5)}}
            await put(engine, index_name, changed)
            await engine.send("DELETE", f"/{index_name}/_doc/d{10 + turn}?refresh=true")
            held |= changed
            del held[f"d{10 + turn}"]
        process = await started()
        out, told = await process.communicate()
        assert process.returncode == 0, told.decode()
    figures = orjson.loads(out)
    assert figures["found"] == figures["written"] + figures["unneeded"] + figures["gone"]
    assert figures["written"] < DOCUMENTS, "what the killed ones had written was not written again"
    # The old model's field lacks what the application wrote: that is what `sidecar reconcile` is for.
    reconciled = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "reconcile", "--index", index_name),
        stdout=PIPE,
        stderr=PIPE,
        cwd=tmp_path,
        env={**os.environ, "SIDECAR_ENGINE": opensearch.url, "SIDECAR_TARGET": two_models.target},
    )
    _, told = await reconciled.communicate()
    assert reconciled.returncode == 0, told.decode()
    assert b"both of its models" in told
    await finish(engine, both, index_name, held)


async def test_a_sidecar_that_is_restarted(
    engine: Engine, index_name: str, tiny_idf_bundle: Path, tiny_own_terms_bundle: Path
) -> None:
    bundles = (tiny_idf_bundle, tiny_own_terms_bundle)
    held = documents(DOCUMENTS)
    with SidecarProcess(bundles, settings={"threads": 1}) as first:
        port = int(first.target.rpartition(":")[2])
        second = SidecarProcess(bundles, settings={"threads": 1, "grpc_port": port})
        restarts: list[asyncio.Task[None]] = []

        def restart(now: ReconcileSummary, _doing: str, _total: int) -> None:
            if now.written >= DOCUMENTS // 4 and not restarts:
                os.kill(first.pid, signal.SIGKILL)
                first.wait(10.0)
                restarts.append(asyncio.ensure_future(asyncio.to_thread(second.start)))

        async with AsyncSidecarClient(first.target, timeout=120.0) as client:
            await prepare_old(engine, client, index_name, held)
            await begin(engine, client, index_name)
            try:
                with DeadLetters(None) as letters:
                    run = await filling(engine, client, index_name, letters, SMALL, progress=restart)
                    summary = await run.run()
                assert restarts, "the sidecar was killed in the middle"
                await restarts[0]
                assert (summary.written, summary.left) == (DOCUMENTS, 0)
                await finish(engine, client, index_name, held)
            finally:
                await asyncio.gather(*restarts, return_exceptions=True)
                second.stop()


async def test_a_node_that_is_killed_and_started_on_its_data(both: AsyncSidecarClient, tmp_path: Path) -> None:
    node = LocalNode(port=0, path=tmp_path / "data", heap="512m").start()
    held = documents(DOCUMENTS)
    again: list[asyncio.Task[LocalNode]] = []
    port = int(node.url.rpartition(":")[2])

    def start_again() -> LocalNode:
        node.stop()
        return LocalNode(port=port, path=tmp_path / "data", heap="512m").start()

    def kill(now: ReconcileSummary, _doing: str, _total: int) -> None:
        if now.written >= DOCUMENTS // 4 and not again:
            os.kill(node.pid, signal.SIGKILL)
            again.append(asyncio.ensure_future(asyncio.to_thread(start_again)))

    try:
        async with await Engine.connect(node.url, bulk=QUICK) as engine:
            await prepare_old(engine, both, "killed", held)
            await begin(engine, both, "killed")
            with DeadLetters(None) as letters:
                run = await filling(engine, both, "killed", letters, SMALL, progress=kill)
                summary = await run.run()
            assert again, "the node was killed in the middle"
            assert summary.left == 0
            found = await status(engine, "killed")
            assert found.record is not None
            assert found.record.state is MigrationState.FILLING, "the record outlives the node"
            await finish(engine, both, "killed", held)
    finally:
        for task in again:
            (await task).stop()
        node.stop()


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
        for fault in (Status(429), Cut.BEFORE, Cut.AFTER):
            proxy.play([fault])
            with pytest.raises(EngineError):
                await drop(unlucky, index_name, settle=0.0)
            found = await status(engine, index_name)
            assert found.record is not None
            assert found.record.state is MigrationState.DROPPING
            await require_searched(engine, both, index_name, held, NEW)
        await drop(unlucky, index_name, settle=0.0)
    assert (await status(engine, index_name)).record is None
    await require_searched(engine, both, index_name, held, NEW)
