"""What goes away while an index is reconciled: the sidecar, the cluster, the answers of a bulk."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun, ReconcileSummary
from sidecar.engine import BulkPolicy, Engine
from sidecar.errors import EngineUnavailable
from tests.faults.audit import repeated_writes, require_right
from tests.faults.changes import outcome
from tests.faults.conftest import every_id
from tests.support.bare import fill, prepare
from tests.support.faults import Cut, Items, Status, faulty_proxy
from tests.support.nodes import Node
from tests.support.outages import QUICK, failing_node, failing_sidecar

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

DOCUMENTS = 400
SMALL = ReconcileOptions(batch_documents=8, in_flight=2, write_documents=16, page_documents=50)


def reconciling(engine: Engine, client: AsyncSidecarClient, index: str, progress: object = None) -> ReconcileRun:
    return ReconcileRun(engine, client, index, DeadLetters(None), SMALL, progress=progress)


def balanced(summary: ReconcileSummary) -> bool:
    known = summary.written + summary.unneeded + summary.gone + summary.failed
    return summary.found == known and not summary.left


async def test_a_cluster_that_turns_writes_away(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, DOCUMENTS)
    faults = [
        Status(429),
        Items(429, frozenset({0, 3, 5})),
        Status(503),
        Cut.AFTER,
        Items(503, frozenset({1})),
        Cut.BEFORE,
        *[Status(429)] * 4,
        *[Items(429, frozenset({2}))] * 4,
        Cut.AFTER,
        *[Status(503)] * 4,
    ]
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=QUICK) as unlucky:
        proxy.play(faults)
        summary = await reconciling(unlucky, client, bare_index).run()
        assert not proxy.script
    assert balanced(summary)
    assert summary.held_back > 0.0, "a cluster that turns writes away is given time"
    held = await require_right(engine, client, bare_index, every_id(DOCUMENTS), outcome(DOCUMENTS, []))
    assert repeated_writes(held, []) == 0, "an answer that is lost is no reason to write again"


async def test_a_sidecar_that_is_restarted(engine: Engine, index_name: str, tiny_sparse_bundle: Path) -> None:
    async with failing_sidecar([tiny_sparse_bundle], DOCUMENTS // 4) as (client, outage):
        await prepare(engine, client, index_name)
        await fill(engine, index_name, DOCUMENTS)
        summary = await reconciling(engine, client, index_name, outage.progress).run()
        await outage.over()
        held = await require_right(engine, client, index_name, every_id(DOCUMENTS), outcome(DOCUMENTS, []))
    assert balanced(summary)
    assert summary.written == DOCUMENTS
    assert repeated_writes(held, []) == 0


async def test_a_node_that_is_killed_and_started_on_its_data(client: AsyncSidecarClient, tmp_path: Path) -> None:
    async with failing_node(tmp_path / "data", DOCUMENTS // 4) as (engine, outage):
        await prepare(engine, client, "killed")
        await fill(engine, "killed", DOCUMENTS)
        summary = await reconciling(engine, client, "killed", outage.progress).run()
        await outage.over()
        held = await require_right(engine, client, "killed", every_id(DOCUMENTS), outcome(DOCUMENTS, []))
    assert balanced(summary)
    assert repeated_writes(held, []) == 0


async def test_patience_has_an_end(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, bare_index: str
) -> None:
    await fill(engine, bare_index, 40)
    fruitless = BulkPolicy(attempts=1, timeout=5.0)
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=fruitless) as unlucky:
        proxy.play([Cut.BEFORE] * 1_000)
        options = ReconcileOptions(patience=0.5)
        run = ReconcileRun(unlucky, client, bare_index, DeadLetters(None), options)
        with pytest.raises(EngineUnavailable, match="Run the same command again"):
            await run.run()
    assert run.summary.written == run.summary.failed == 0
