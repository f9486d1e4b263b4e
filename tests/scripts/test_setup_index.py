"""The shell scripts leave a real cluster in the same state as the commands they stand in for.

They lie outside tests/integration, because they need jq, which not every machine has.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up, tear_down
from sidecar.engine import BulkAction, Engine
from tests.support.nodes import Node
from tests.support.sidecars import InProcess, StartSidecar
from tests.support.state import cluster_state

ROOT = Path(__file__).resolve().parents[2]
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

EXISTING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "_meta": {"owner": "shop team"},
        "properties": {"name": {"type": "text", "fields": {"german": {"type": "text"}}}, "price": {"type": "float"}},
    },
}


async def run(script: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / script),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def spec(sidecar: InProcess, index: str, **more: object) -> IndexSpec:
    async with AsyncSidecarClient(sidecar.target) as client:
        return IndexSpec(index, pick_encoder(await client.models()), dialect="rank_features", **more)


async def ran(script: str, node: Node, sidecar: InProcess, index: str, *more: str) -> str:
    sidecar_option = ("--http", sidecar.http_url) if script == "setup-index" else ()
    code, out, error = await run(script, "--index", index, "--engine", node.url, *sidecar_option, *more)
    assert code == 0, error
    return out


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), {}),
        (("--shards", "2"), {"settings": {"number_of_shards": 2}}),
        (
            ("--source-field", "body", "--lexical-field", "body", "--vector-field", "vec", "--hash-field", "vec_hash"),
            {"source_fields": ("body",), "lexical_field": "body", "vector_field": "vec", "hash_field": "vec_hash"},
        ),
    ],
)
async def test_a_new_index(
    options: tuple[str, ...],
    wanted: dict,
    opensearch: Node,
    engine: Engine,
    index_name: str,
    start_sidecar: StartSidecar,
) -> None:
    sidecar = await start_sidecar()
    before = await cluster_state(engine)
    await set_up(engine, await spec(sidecar, index_name, **wanted))
    expected = await cluster_state(engine, keep_identity=False)
    await tear_down(engine, index_name)
    await ran("setup-index", opensearch, sidecar, index_name, *options)
    assert await cluster_state(engine, keep_identity=False) == expected
    once = await cluster_state(engine)
    await ran("setup-index", opensearch, sidecar, index_name, *options)
    assert await cluster_state(engine) == once
    assert (await set_up(engine, await spec(sidecar, index_name, **wanted))).requests == ()
    await ran("teardown-index", opensearch, sidecar, index_name)
    assert await cluster_state(engine) == before


async def test_an_index_that_exists(
    opensearch: Node, engine: Engine, index_name: str, start_sidecar: StartSidecar
) -> None:
    sidecar = await start_sidecar()
    options = ("--source-field", "name", "--lexical-field", "name.german")
    await engine.create_index(index_name, EXISTING)
    await set_up(engine, await spec(sidecar, index_name, source_fields=("name",), lexical_field="name.german"))
    expected = await cluster_state(engine, keep_identity=False)
    await tear_down(engine, index_name)
    undone = await cluster_state(engine, keep_identity=False)
    await engine.delete_index(index_name)
    await engine.create_index(index_name, EXISTING)
    await ran("setup-index", opensearch, sidecar, index_name, *options)
    assert await cluster_state(engine, keep_identity=False) == expected
    await ran("setup-index", opensearch, sidecar, index_name, *options)
    assert await cluster_state(engine, keep_identity=False) == expected
    await ran("teardown-index", opensearch, sidecar, index_name)
    assert await cluster_state(engine, keep_identity=False) == undone


async def test_a_dry_run_prints_what_setup_would_send(
    opensearch: Node, engine: Engine, index_name: str, start_sidecar: StartSidecar
) -> None:
    sidecar = await start_sidecar()
    before = await cluster_state(engine)
    printed = await ran("setup-index", opensearch, sidecar, index_name, "--dialect", "neural_sparse", "--dry-run")
    assert await cluster_state(engine) == before
    first, _, rest = printed.partition("\n")
    body, _, pipeline = rest.partition(f"PUT /_search/pipeline/splade-sidecar-{index_name}\n")
    assert first == f"PUT /{index_name}"
    assert json.loads(body)["mappings"]["_meta"]["splade_sidecar"]["dialect"] == "neural_sparse"
    assert json.loads(pipeline) == json.loads((ROOT / "mappings/pipelines/search.json").read_bytes())


async def test_what_is_refused(opensearch: Node, engine: Engine, index_name: str, start_sidecar: StartSidecar) -> None:
    sidecar = await start_sidecar()

    async def refused(script: str, *more: str) -> str:
        http = ("--http", sidecar.http_url) if script == "setup-index" else ()
        code, _, error = await run(script, "--index", index_name, "--engine", opensearch.url, *http, *more)
        assert code == 1
        return error

    assert "404" in await refused("teardown-index")
    assert "no such sparse encoder" in await refused("setup-index", "--model", "nobody")
    assert "no dialect" in await refused("setup-index", "--dialect", "vespa")
    await engine.create_index(index_name, EXISTING)
    assert "--lexical-field" in await refused("setup-index")
    assert "no record" in await refused("teardown-index")
    assert "index.sparse" in await refused("setup-index", "--dialect", "seismic")
    await engine.delete_index(index_name)
    await ran("setup-index", opensearch, sidecar, index_name)
    assert "other fields" in await refused("setup-index", "--source-field", "body")
    await engine.bulk([BulkAction(index_name, "1", {"title": "a"})], refresh=True)
    assert "--delete-documents" in await refused("teardown-index")
    await ran("teardown-index", opensearch, sidecar, index_name, "--delete-documents")
    assert not await engine.index_exists(index_name)
