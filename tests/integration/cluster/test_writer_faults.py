"""An application's writer while the cluster, the sidecar or the index's model is not what it was."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import AsyncSparseWriter, IndexSpec, WriterOptions, pick_encoder, set_up
from sidecar.cluster.writer import Stage
from sidecar.engine import BulkOperation, BulkPolicy, Engine, dialect_named
from sidecar.errors import SidecarUnavailable
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, Items, Status, faulty_proxy
from tests.support.indexing import FRUITLESS, articles
from tests.support.nodes import Node
from tests.support.sidecars import StartSidecar

pytestmark = pytest.mark.integration

PATIENT = BulkPolicy(attempts=6, first_wait=0.001, longest_wait=0.01)


def retrained(bundle: Path, folder: Path, name: str | None = None) -> Path:
    """Return a copy of a bundle under its own name, or another one, that the sidecar takes for another model."""
    copy = folder / "retrained"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["source"] = "the same, trained once more"
    (copy / "manifest.json").write_text(json.dumps({**manifest, "name": name or manifest["name"]}))
    return copy


@pytest.mark.faults
@pytest.mark.parametrize("name", [None, "successor"])
@pytest.mark.parametrize("in_flight", [1, 2])
async def test_a_model_that_changes_within_a_call_makes_no_conflicts(
    opensearch: Node,
    engine: Engine,
    tiny_idf_bundle: Path,
    tmp_path: Path,
    index_name: str,
    start_sidecar: StartSidecar,
    name: str | None,
    in_flight: int,
) -> None:
    """Sidecar and record change while the first batch is written; what was created by then is not created again."""
    before = await start_sidecar(models=str(tiny_idf_bundle))
    changed = asyncio.Lock()

    async def change(_: bytes) -> None:
        async with changed:
            if (await engine.index_meta(index_name)).fingerprint != old.fingerprint:
                return
            await before.lifecycle.stop()
            await start_sidecar(models=str(retrained(tiny_idf_bundle, tmp_path, name)), grpc_port=before.grpc_port)
            new = pick_encoder(await client.models())
            assert new.fingerprint != old.fingerprint
            record = (await engine.index_meta(index_name)).model_copy(
                update={"fingerprint": new.fingerprint, "bundle": new.name}
            )
            await engine.put_mapping(index_name, {"_meta": record.to_mapping()})
        # Another batch meets the new model meanwhile.
        await asyncio.sleep(1.0)

    async with AsyncSidecarClient(before.target, timeout=60.0) as client:
        old = pick_encoder(await client.models())
        await set_up(engine, IndexSpec(index_name, old))
        async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as watched:
            proxy.before = change
            options = WriterOptions(batch_documents=2, in_flight=in_flight)
            writer = AsyncSparseWriter(watched, client, index_name, options)
            outcomes = await writer.write(articles(8), mode=BulkOperation.CREATE, refresh=True)
    assert [(one.id, one.reason) for one in outcomes] == [(f"d{number}", "") for number in range(8)]
    assert all(one.has_vector for one in outcomes)
    record = await engine.index_meta(index_name)
    dialect = dialect_named(record.dialect)
    of_old = await engine.count(index_name, dialect.presence_filter(record.vector_field, old.fingerprint))
    of_new = await engine.count(index_name, dialect.presence_filter(record.vector_field, record.fingerprint))
    assert of_old + of_new == 8
    assert of_old >= 2


@pytest.mark.faults
async def test_turned_away_documents_are_tried_again(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=PATIENT) as unlucky:
        writer = AsyncSparseWriter(unlucky, client, prepared, WriterOptions(batch_documents=8))
        proxy.play([Status(429), Items(429, frozenset({1, 3})), Cut.AFTER, Status(503), Cut.BEFORE])
        outcomes = await writer.write(articles(40), refresh=True)
        assert not proxy.script
    assert all(one.written for one in outcomes)
    assert await engine.count(prepared) == 40


@pytest.mark.faults
async def test_a_cluster_that_is_away_is_told_per_document(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=FRUITLESS) as unlucky:
        writer = AsyncSparseWriter(unlucky, client, prepared)
        proxy.play([Items(429, frozenset({1}))] * 2)
        overloaded = await writer.write(articles(3))
        proxy.play([Cut.BEFORE] * 2)
        away = await writer.write(articles(2))
    assert [(one.written, one.retriable) for one in overloaded] == [(True, False), (False, True), (True, False)]
    assert [(one.stage, one.reason, one.retriable) for one in away] == [(Stage.WRITE, "EngineUnavailable", True)] * 2


@pytest.mark.faults
async def test_a_sidecar_that_is_gone_is_an_error_of_the_call(
    engine: Engine, tiny_bundles: tuple[Path, ...], index_name: str
) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        async with AsyncSidecarClient(process.target, timeout=5.0) as client:
            await set_up(engine, IndexSpec(index_name, pick_encoder(await client.models())))
            writer = AsyncSparseWriter(engine, client, index_name, WriterOptions(batch_documents=2))
            assert all(one.written for one in await writer.write(articles(4)))
            process.stop()
            with pytest.raises(SidecarUnavailable):
                await writer.write(articles(8))
