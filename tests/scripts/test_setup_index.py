"""The shell scripts leave a real cluster in the same state as the commands they stand in for.

They need jq, which not every machine has. CI fails where they are skipped, as all integration tests.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, plan_setup, set_up, tear_down
from sidecar.cluster.spec import PASSAGE_FIELD
from sidecar.engine import BulkAction, Engine, PassageRule
from sidecar.errors import InvalidInput
from tests.support.nodes import Node
from tests.support.sidecars import InProcess, StartSidecar
from tests.support.state import cluster_state
from tests.unit.cluster.recorded import recorded

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
        return IndexSpec(index, pick_encoder(await client.models()), **{"dialect": "rank_features", **more})


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
        (
            ("--passages", "--shards", "2"),
            {"passages": PassageRule(), "vector_field": PASSAGE_FIELD, "settings": {"number_of_shards": 2}},
        ),
        (
            ("--passages", "--passage-words", "41"),
            {"passages": PassageRule(41, 20, 64), "vector_field": PASSAGE_FIELD},
        ),
        (
            (
                "--passages",
                "--passage-words",
                "060",
                "--passage-stride",
                "40",
                "--passage-limit",
                "8",
                "--vector-field",
                "vec",
            ),
            {"passages": PassageRule(60, 40, 8), "vector_field": "vec"},
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


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ((), {}),
        (("--passages", "--passage-limit", "9"), {"passages": PassageRule(limit=9), "vector_field": PASSAGE_FIELD}),
    ],
)
async def test_an_index_that_exists(
    more: tuple[str, ...],
    wanted: dict,
    opensearch: Node,
    engine: Engine,
    index_name: str,
    start_sidecar: StartSidecar,
) -> None:
    sidecar = await start_sidecar()
    options = ("--source-field", "name", "--lexical-field", "name.german", *more)
    await engine.create_index(index_name, EXISTING)
    names = {"source_fields": ("name",), "lexical_field": "name.german"}
    await set_up(engine, await spec(sidecar, index_name, **names, **wanted))
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


async def test_passages_have_no_pipeline_of_two_phases(
    opensearch: Node, engine: Engine, index_name: str, start_sidecar: StartSidecar
) -> None:
    sidecar = await start_sidecar()
    options = ("--dialect", "neural_sparse", "--passages", "--dry-run")
    printed = await ran("setup-index", opensearch, sidecar, index_name, *options)
    first, _, body = printed.partition("\n")
    assert first == f"PUT /{index_name}"
    entries = json.loads(body)["mappings"]["_meta"]
    assert entries["splade_sidecar"]["dialect"] == "neural_sparse"
    assert entries["splade_sidecar"]["passages"] == {"words": 150, "stride": 75, "limit": 64}
    assert entries["splade_sidecar_setup"]["search_pipeline"] is None


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
    for dialect in ("seismic", "elasticsearch"):
        assert "rank_features" in await refused("setup-index", "--passages", "--dialect", dialect)
    assert "add --passages" in await refused("setup-index", "--passage-words", "60")
    assert "no number" in await refused("setup-index", "--passages", "--passage-words", "$(id)")
    assert "as many as" in await refused("setup-index", "--passages", "--passage-words", "60", "--passage-stride", "61")
    assert "1,000" in await refused("setup-index", "--passages", "--passage-limit", "1001")
    await engine.create_index(index_name, EXISTING)
    assert "--lexical-field" in await refused("setup-index")
    assert "no record" in await refused("teardown-index")
    named = ("--lexical-field", "name")
    await engine.bulk([BulkAction(index_name, "1", {"name": "a lamp"})], refresh=True)
    missing = await refused("setup-index", *named, "--source-field", "name", "--source-field", "descripton")
    assert "has no field descripton: name those" in missing
    assert "It has name, price" in missing
    assert "name each source field once" in await refused("setup-index", "--source-field", "a", "--source-field", "a")
    assert "no dots" in await refused("setup-index", "--source-field", "a.b")
    assert "names of their own" in await refused("setup-index", "--source-field", "splade")
    assert "index.sparse" in await refused("setup-index", "--dialect", "seismic")
    await engine.delete_index(index_name)
    assert "one of several" in await refused("setup-index", "--lexical-field", "text")
    await ran("setup-index", opensearch, sidecar, index_name)
    assert "other fields" in await refused("setup-index", "--source-field", "body")
    assert "passages" in await refused("setup-index", "--passages")
    await engine.send("PUT", f"/{index_name}/_settings", {"index.refresh_interval": "-1"})
    await engine.bulk([BulkAction(index_name, "1", {"title": "a"})])
    assert "--delete-documents" in await refused("teardown-index"), "also of what is not searchable yet"
    await ran("teardown-index", opensearch, sidecar, index_name, "--delete-documents")
    assert not await engine.index_exists(index_name)


@pytest.mark.parametrize("script", ["setup-index", "teardown-index"])
@pytest.mark.parametrize("name", ["*", "shop-*", "_all", "shop,books", "-shop", "..", "<shop-{now}>", "a b", "x?"])
async def test_a_name_that_may_stand_for_several_indices_is_refused_before_anything_is_sent(
    script: str, name: str
) -> None:
    """`sidecar setup` refuses the same ones. Port 9 is nobody's: a request would be told not to be answered."""
    code, out, error = await run(script, "--index", name, "--engine", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert f"'{name}' can't be written to" in error


@pytest.mark.parametrize("status", [401, 503])
async def test_what_the_cluster_does_not_say_is_not_taken_for_absent(status: int) -> None:
    """The pipeline would be left behind, and the record that knows of it be gone."""
    record = {"created_index": True, "index_template": None, "search_pipeline": "own", "connector": None}
    mapping = {"articles": {"mappings": {"_meta": {"splade_sidecar_setup": record}}}}
    answers = {
        "GET /articles/_mapping": mapping,
        "POST /articles/_refresh": {},
        "GET /articles/_count": {"count": 0},
        "GET /_search/pipeline/own": status,
        "DELETE /articles": {"acknowledged": True},
    }
    async with recorded(answers) as (engine, cluster):
        code, _, error = await run("teardown-index", "--index", "articles", "--engine", engine.address)
    assert code == 1
    assert f"/_search/pipeline/own answers {status}" in error
    assert {(method, path) for method, path, _ in cluster.asked if method != "GET"} == {("POST", "/articles/_refresh")}


@pytest.mark.parametrize(
    ("dynamic", "documents", "refused"),
    [
        ("true", 0, False),
        ("true", 1, True),
        ("false", 1, False),
        ("strict", 0, True),
        ("false_allow_templates", 1, False),
    ],
)
async def test_a_source_field_may_still_come_where_the_mapping_lets_it(
    dynamic: str,
    documents: int,
    refused: bool,
    opensearch: Node,
    engine: Engine,
    index_name: str,
    start_sidecar: StartSidecar,
) -> None:
    """As `sidecar setup` decides."""
    sidecar = await start_sidecar()
    mappings = {"dynamic": dynamic, "properties": {"name": {"type": "text"}}}
    await engine.create_index(index_name, {"mappings": mappings})
    await engine.bulk([BulkAction(index_name, str(n), {"name": "a lamp"}) for n in range(documents)], refresh=True)
    wanted = await spec(sidecar, index_name, source_fields=("name", "later"), lexical_field="name")
    options = ("--source-field", "name", "--source-field", "later", "--lexical-field", "name")
    arguments = ("--index", index_name, "--engine", opensearch.url, "--http", sidecar.http_url, *options)
    code, _, error = await run("setup-index", *arguments)
    assert (code, "has no field later" in error) == (int(refused), refused), error
    if refused:
        with pytest.raises(InvalidInput, match="has no field later"):
            await plan_setup(engine, wanted)
    else:
        assert (await plan_setup(engine, wanted)).requests == ()


@pytest.mark.parametrize(("version", "kept"), [("9.1.4", None), ("9.2.0", False)])
async def test_elasticsearch_is_told_to_keep_vectors_in_documents(
    version: str, kept: bool | None, index_name: str, start_sidecar: StartSidecar
) -> None:
    """Such a node can't be had: its first answer is all that the script asks for."""
    sidecar = await start_sidecar()
    root = {"cluster_name": "c", "version": {"number": version}, "tagline": "You Know, for Search"}
    async with recorded({"GET /": root}) as (engine, _):
        (made,) = (await plan_setup(engine, await spec(sidecar, index_name, dialect="elasticsearch"))).requests
        options = ("--engine", engine.address, "--dialect", "elasticsearch", "--dry-run")
        code, out, error = await run("setup-index", "--index", index_name, "--http", sidecar.http_url, *options)
    assert code == 0, error
    first, _, body = out.partition("\n")
    assert first == f"PUT /{index_name}"
    assert json.loads(body) == made.body
    assert json.loads(body)["settings"]["index"].get("mapping.exclude_source_vectors") is kept
