"""Indexing while requests are refused or lost, and while the cluster or the sidecar goes away."""

from __future__ import annotations

import os
import signal
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
from sidecar.engine import BulkPolicy, Engine
from sidecar.errors import (
    DocumentsNotWritten,
    EngineRejected,
    EngineUnavailable,
    SidecarUnavailable,
)
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, Items, Status, faulty_proxy
from tests.support.indexing import FRUITLESS, corpus, indexed, letters_in, source
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


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
        summary = await indexed(unlucky, client, prepared, [*corpus(200)])
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
        assert (await indexed(unlucky, client, prepared, [*corpus(500)])).written == 500
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


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
async def test_an_index_that_refuses_writes_is_not_asked_for_ever(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str, tmp_path: Path, block: str
) -> None:
    """By its owner's will (403), or by the cluster's, whose disk is nearly full (429)."""
    options = IndexOptions(batch_documents=4, write_documents=8, queued_batches=1)
    dead = tmp_path / "dead.jsonl"
    await engine.send("PUT", f"/{prepared}/_settings", {f"index.blocks.{block}": True})
    async with await Engine.connect(opensearch.url, bulk=FRUITLESS) as unlucky:
        with DeadLetters(dead) as letters:
            one = IndexRun(unlucky, client, prepared, source([*corpus(300)]), letters, options)
            with pytest.raises(EngineRejected, match=r"refuses writes: index \[.* 0 documents are written"):
                await one.run()
    assert 0 < one.summary.failed == len(letters_in(dead)) <= 16
    await engine.send("PUT", f"/{prepared}/_settings", {f"index.blocks.{block}": None})
    assert (await indexed(engine, client, prepared, [*corpus(300)])).written == 300


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
