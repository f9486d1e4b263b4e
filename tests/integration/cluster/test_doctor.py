"""The doctor on real nodes: a sound index, and one with every trap that a node without plugins can have."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, set_up
from sidecar.cluster.doctor import Severity, check_routes, examine, gather
from sidecar.cluster.documents import write_action
from sidecar.domain import SparseVector
from sidecar.engine import BulkAction, Engine, dialect_named
from sidecar.errors import IndexNotFound
from tests.support.dialects import any_model
from tests.support.faults import faulty_proxy
from tests.support.migration import NEW, OLD, begin, documents, fill_new, prepare_old
from tests.support.nodes import Node
from tests.support.second_index import Names, prepare_alias, rolled_out_second
from tests.support.shards import create_lacking
from tests.support.shell import typed
from tests.support.sidecars import StartSidecar

pytestmark = pytest.mark.integration

VECTOR = SparseVector((1, 2), (1.5, 0.5), ("wing", "u.s."))


async def sound(engine: Engine, index: str) -> None:
    meta = (await set_up(engine, IndexSpec(index, any_model()))).meta
    dialect = dialect_named(meta.dialect)
    actions = [
        write_action(index, str(number), {"title": "", "text": "wing"}, "wing", VECTOR, meta, dialect)
        for number in range(20)
    ]
    await engine.bulk(actions, refresh=True)


async def test_a_sound_index(engine: Engine, index_name: str) -> None:
    await sound(engine, index_name)
    evidence = await gather(engine, index_name, served=[any_model()])
    assert (evidence.documents, evidence.hashed, evidence.present) == (20, 20, 20)
    assert evidence.unread == ()
    assert sum(segment.documents for segment in evidence.segments) == 20
    assert len(evidence.vectors()) == 20
    assert evidence.nodes[0].heap is not None
    assert evidence.nodes[0].disk is not None
    assert evidence.nodes[0].ahead is not None
    # What the machine's disk and heap say is the machine's.
    assert [one for one in examine(evidence) if one.check not in {"disk", "heap"}] == []


async def test_an_index_that_lacks_a_shard_is_told_of_and_not_counted(engine: Engine, index_name: str) -> None:
    await sound(engine, f"{index_name}-sound")
    (mapping,) = (await engine.mappings(f"{index_name}-sound")).values()
    await create_lacking(engine, index_name, mapping)
    evidence = await gather(engine, index_name, served=[any_model()])
    assert [what for what, _ in evidence.unread] == ["documents"]
    assert "did not count in all shards" in evidence.unread[0][1]
    assert ("health", Severity.ERROR) in [(one.check, one.severity) for one in examine(evidence)]
    await engine.delete_index(f"{index_name}-sound")


async def test_an_index_with_a_narrow_result_window(engine: Engine, index_name: str) -> None:
    await sound(engine, index_name)
    await engine._transport.send("PUT", f"/{index_name}/_settings", {"index": {"max_result_window": 15}})
    evidence = await gather(engine, index_name, served=[any_model()])
    assert evidence.unread == ()
    assert len(evidence.vectors()) == 15
    found = [one for one in examine(evidence) if one.check not in {"disk", "heap"}]
    assert [(one.check, one.severity) for one in found] == [("result_window", Severity.WARNING)]


async def test_it_changes_nothing(opensearch: Node, index_name: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as engine:
        await sound(engine, index_name)
        proxy.requests.clear()
        await gather(engine, index_name)
        reading = ("/_count", "/_search")
        assert {method for method, path in proxy.requests if not path.endswith(reading)} == {"GET"}


async def test_a_vector_lost_by_a_partial_update_is_seen(engine: Engine, index_name: str) -> None:
    properties = {"text": {"type": "text"}, "splade": {"type": "rank_features"}, "splade_hash": {"type": "keyword"}}
    mappings = {
        "_meta": IndexSpec(index_name, any_model()).meta("rank_features").to_mapping(),
        "_source": {"excludes": ["splade"]},
        "properties": properties,
    }
    await engine.create_index(index_name, {"mappings": mappings})
    features = dialect_named("rank_features").document_features(VECTOR, any_model().fingerprint)
    await engine.bulk(
        [BulkAction(index_name, "1", {"text": "wing", "splade": features, "splade_hash": "x"})], refresh=True
    )
    before = {one.check for one in examine(await gather(engine, index_name))}
    assert "vector_in_source" in before
    assert "presence" not in before
    await engine.send("POST", f"/{index_name}/_update/1?refresh=true", {"doc": {"text": "wings"}})
    after = {one.check: one for one in examine(await gather(engine, index_name))}
    assert "1 documents have the hash of a text and no vector" in after["presence"].what


async def test_a_document_without_text_is_in_order(engine: Engine, index_name: str) -> None:
    await sound(engine, index_name)
    meta = await engine.index_meta(index_name)
    bare = write_action(index_name, "bare", {"title": ""}, "", None, meta, dialect_named(meta.dialect))
    lost = BulkAction(index_name, "lost", {"text": "wing", "splade_hash": "x"})
    await engine.bulk([bare], refresh=True)
    evidence = await gather(engine, index_name)
    assert (evidence.hashed, evidence.present, evidence.without_text) == (21, 20, 1)
    assert "presence" not in {one.check for one in examine(evidence)}
    await engine.bulk([lost], refresh=True)
    found = {one.check: one for one in examine(await gather(engine, index_name))}
    assert "1 documents have the hash of a text and no vector" in found["presence"].what


async def test_elasticsearch_is_not_asked_for_search_pipelines(elasticsearch: Node) -> None:
    async with await Engine.connect(elasticsearch.url) as engine:
        await sound(engine, "test-doctor")
        try:
            evidence = await gather(engine, "test-doctor", served=[any_model()])
        finally:
            await engine.delete_index("test-doctor")
    assert evidence.unread == ()
    assert (evidence.documents, evidence.search_pipelines) == (20, {})
    assert {one.check for one in examine(evidence)} <= {"disk", "heap"}


async def test_a_mapping_that_the_cluster_guessed(engine: Engine, index_name: str) -> None:
    meta = IndexSpec(index_name, any_model()).meta("rank_features")
    await engine.create_index(index_name, {"mappings": {"_meta": meta.to_mapping()}})
    await engine.bulk([BulkAction(index_name, "1", {"splade": {"wing": 1.5}, "splade_hash": "x"})], refresh=True)
    found = [one for one in examine(await gather(engine, index_name)) if one.check == "fields"]
    assert [one.what for one in found] == [
        "The field splade is of type object, not rank_features.",
        "The field splade_hash is of type text, not keyword.",
    ]


async def test_reciprocals(engine: Engine, index_name: str) -> None:
    meta = IndexSpec(index_name, any_model()).meta("rank_features")
    field = {"type": "rank_features", "positive_score_impact": False}
    properties = {"splade": field, "splade_hash": {"type": "keyword"}}
    await engine.create_index(index_name, {"mappings": {"_meta": meta.to_mapping(), "properties": properties}})
    found = {one.check: one for one in examine(await gather(engine, index_name))}
    assert found["positive_score_impact"].severity is Severity.ERROR


async def test_an_index_that_does_not_exist(engine: Engine, index_name: str) -> None:
    with pytest.raises(IndexNotFound):
        await gather(engine, index_name)


async def test_the_routes_of_a_real_sidecar(start_sidecar: StartSidecar) -> None:
    sidecar = await start_sidecar()
    assert await check_routes(sidecar.http_url) == ()


async def test_a_sidecar_that_asks_for_a_token(start_sidecar: StartSidecar) -> None:
    sidecar = await start_sidecar(auth_token="secret-token-of-the-test")
    refused = await check_routes(sidecar.http_url)
    assert ["401" in finding.what for finding in refused] == [True, True]
    assert await check_routes(sidecar.http_url, "secret-token-of-the-test") == ()


async def test_nobody_answers() -> None:
    found = await check_routes("http://127.0.0.1:9")
    assert all("does not answer" in finding.what for finding in found)
    assert len(found) == 2


def test_the_command(opensearch: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def prepare() -> None:
        async with await Engine.connect(opensearch.url) as engine:
            await engine.delete_index("test-doctor-command", missing_ok=True)
            await sound(engine, "test-doctor-command")

    asyncio.run(prepare())
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"query": {"rank_feature": {"field": "splade.u.s."}}}))
    arguments = ["doctor", "--index", "test-doctor-command", "--engine", opensearch.url, "--query", str(body)]
    findings = json.loads(typed(*arguments, "--json", code=1).stdout)["findings"]
    assert {one["check"] for one in findings} >= {"rank_feature_query"}
    assert all(set(one) == {"check", "severity", "what", "why", "action"} for one in findings)
    assert "do:" in typed(*arguments, code=1).stdout


async def test_a_migration_in_a_second_field(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(5))
    served = await both.models()
    assert "migration" not in {one.check for one in examine(await gather(engine, index_name, served=served))}
    await begin(engine, both, index_name)
    found = {one.check: one for one in examine(await gather(engine, index_name, served=served))}["migration"]
    assert (found.severity, "for 0 of 5 documents" in found.what) == (Severity.NOTE, True)
    assert "since 20" in found.what
    await fill_new(engine, both, index_name)
    await engine.refresh(index_name)
    found = {one.check: one for one in examine(await gather(engine, index_name, served=served))}["migration"]
    assert "for 5 of 5 documents" in found.what
    assert f"sidecar migrate verify --index {index_name}" in found.action
    old = [model for model in served if model.name == OLD]
    narrow = {one.check: one for one in examine(await gather(engine, index_name, served=old))}["migration"]
    assert (narrow.severity, NEW in narrow.action) == (Severity.ERROR, True)


async def test_a_migration_into_a_second_index(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    await prepare_alias(engine, both, names, documents(5))
    served = await both.models()
    await rolled_out_second(engine, both, names)
    await engine.refresh(names.second)
    for name in (names.alias, names.first, names.second):
        found = {one.check: one for one in examine(await gather(engine, name, served=served))}["migration"]
        assert f"{names.second}, which is kept as a copy of {names.first}, for 5 of 5 documents" in found.what
        assert f"sidecar migrate swap --index {names.alias}" in found.action
    old = [model for model in served if model.name == OLD]
    narrow = {one.check: one for one in examine(await gather(engine, names.alias, served=old))}["migration"]
    assert narrow.severity is Severity.ERROR
    await engine.delete_index(names.second)
    cut = {one.check: one for one in examine(await gather(engine, names.alias, served=served))}["migration"]
    assert (cut.severity, "migrate start" in cut.action) == (Severity.WARNING, True)
