"""Setup and teardown on a real node: what was there before is there afterwards, compared by the cluster's state."""

from __future__ import annotations

import copy
import uuid

import pytest

from sidecar.cluster import IndexSpec, plan_teardown, removal, set_up, tear_down
from sidecar.cluster.documents import write_action
from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import BulkAction, Engine, dialect_named
from sidecar.errors import DocumentsNotWritten, EngineRejected, IndexNotFound, IndexNotPrepared, InvalidInput
from tests.support.dialects import any_model
from tests.support.faults import Cut, Status, faulty_proxy
from tests.support.nodes import Node
from tests.support.state import cluster_state

pytestmark = pytest.mark.integration

EXISTING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {"_meta": {"owner": "shop team"}, "properties": {"name": {"type": "text"}, "price": {"type": "float"}}},
}
VECTOR = SparseVector((1, 2), (1.5, 0.5), ("lamp", "u.s."))


def spec(index: str, **more: object) -> IndexSpec:
    return IndexSpec(index, any_model(), source_fields=("name",), lexical_field="name", **more)


async def existing(engine: Engine, index: str) -> None:
    await engine.create_index(index, EXISTING)
    await engine.bulk([BulkAction(index, "1", {"name": "lamp", "price": 9.5})], refresh=True)


async def test_an_index_that_setup_made_goes(engine: Engine, index_name: str) -> None:
    before = await cluster_state(engine)
    await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-*"))
    assert await cluster_state(engine) != before
    plan = await tear_down(engine, index_name)
    assert plan.left == ()
    assert await cluster_state(engine) == before
    with pytest.raises(IndexNotFound):
        await tear_down(engine, index_name)


async def test_documents_are_deleted_only_where_that_is_said(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, any_model()))
    await engine.bulk([BulkAction(index_name, "1", {"title": "a"})], refresh=True)
    plan = await plan_teardown(engine, index_name)
    assert [(request.method, request.path) for request in plan.requests] == [("DELETE", f"/{index_name}")]
    assert plan.refusal is not None
    with pytest.raises(InvalidInput, match="--delete-documents"):
        await plan.apply(engine)
    with pytest.raises(InvalidInput, match="--delete-documents"):
        await tear_down(engine, index_name)
    assert await engine.count(index_name) == 1
    assert (await plan_teardown(engine, index_name, delete_documents=True)).refusal is None
    await tear_down(engine, index_name, delete_documents=True)
    assert not await engine.index_exists(index_name)


async def test_documents_that_are_not_searchable_yet_are_documents(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, any_model(), settings={"refresh_interval": "-1"}))
    await engine.bulk([BulkAction(index_name, "1", {"title": "a"})])
    assert await engine.count(index_name) == 0
    with pytest.raises(InvalidInput, match="holds 1 documents now"):
        await tear_down(engine, index_name)
    assert await engine.get(index_name, "1") == {"title": "a"}


async def test_an_index_that_existed_keeps_two_definitions_and_nothing_else(engine: Engine, index_name: str) -> None:
    await existing(engine, index_name)
    before = await cluster_state(engine)
    await set_up(engine, spec(index_name, template=f"{index_name}-*"))
    plan = await tear_down(engine, index_name)
    assert "splade, splade_hash" in plan.left[0]
    mapping = (await engine.mappings(index_name))[index_name]
    assert mapping["_meta"] == {"owner": "shop team"}
    expected = copy.deepcopy(before)
    definitions = {"splade": {"type": "rank_features"}, "splade_hash": {"type": "keyword"}}
    expected["indices"][index_name]["mappings"]["_doc"]["properties"].update(definitions)
    assert await cluster_state(engine) == expected
    assert await engine.get(index_name, "1") == {"name": "lamp", "price": 9.5}
    with pytest.raises(IndexNotPrepared):
        await tear_down(engine, index_name)


async def test_a_mapping_without_meta_is_without_meta_again(engine: Engine, index_name: str) -> None:
    body = {**EXISTING, "mappings": {"properties": EXISTING["mappings"]["properties"]}}
    await engine.create_index(index_name, body)
    await set_up(engine, spec(index_name))
    await tear_down(engine, index_name)
    assert not (await engine.mappings(index_name))[index_name].get("_meta")
    await set_up(engine, spec(index_name))
    assert (await engine.index_meta(index_name)).bundle == "starter"


async def test_vectors_are_taken_out_on_request(engine: Engine, index_name: str) -> None:
    await existing(engine, index_name)
    meta = (await set_up(engine, spec(index_name))).meta
    dialect = dialect_named(meta.dialect)
    documents = [
        write_action(index_name, str(number), {"name": "lamp", "price": number}, "lamp", VECTOR, meta, dialect)
        for number in range(2, 30)
    ]
    await engine.bulk(documents, refresh=True)
    there = dialect.presence_filter(meta.vector_field, meta.fingerprint)
    assert await engine.count(index_name, there) == 28
    assert any("--vectors" in line for line in (await plan_teardown(engine, index_name)).left)
    await tear_down(engine, index_name, vectors=True)
    assert await engine.count(index_name, there) == 0
    assert await engine.count(index_name) == 29
    assert await engine.get(index_name, "7") == {"name": "lamp", "price": 7}


async def with_vectors(engine: Engine, index: str, count: int) -> JsonObject:
    """An index that existed, with vectors in `count` documents; return the query that finds them."""
    await existing(engine, index)
    meta = (await set_up(engine, spec(index))).meta
    dialect = dialect_named(meta.dialect)
    documents = [
        write_action(index, f"d{number}", {"name": "lamp", "price": number}, "lamp", VECTOR, meta, dialect)
        for number in range(count)
    ]
    await engine.bulk(documents, refresh=True)
    return {"exists": {"field": meta.hash_field}}


@pytest.mark.faults
@pytest.mark.parametrize("cluster", ["opensearch", "elasticsearch"])
async def test_vectors_are_taken_out_though_answers_are_lost_and_nothing_is_left_behind(
    request: pytest.FixtureRequest, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "ROUND_DOCUMENTS", 10)
    monkeypatch.setattr(removal, "FEWEST_DOCUMENTS", 10)
    node: Node = request.getfixturevalue(cluster)
    index = f"test-{uuid.uuid4().hex}"
    told: list[tuple[int, int]] = []
    async with (
        faulty_proxy(node.url, only="/_update_by_query") as proxy,
        await Engine.connect(proxy.url) as engine,
    ):
        try:
            before = sorted(await engine.mappings("*,.*"))
            there = await with_vectors(engine, index, 45)
            proxy.play([None, Cut.AFTER, Cut.BEFORE, Status(504)])
            plan = await plan_teardown(engine, index, vectors=True)
            await plan.apply(engine, progress=lambda done, total: told.append((done, total)))
            assert not proxy.script
            assert await engine.count(index, there) == 0
            assert await engine.count(index) == 46
            assert await engine.get(index, "d7") == {"name": "lamp", "price": 7}
            # What the lost answer was about is done, and counted by nobody.
            assert told[-1] == (35, 45)
            assert sorted(await engine.mappings("*,.*")) == sorted([*before, index])
        finally:
            await engine.delete_index(index, missing_ok=True)


async def test_a_teardown_that_is_stopped_goes_on_where_it_was(
    engine: Engine, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "ROUND_DOCUMENTS", 10)
    there = await with_vectors(engine, index_name, 45)
    told: list[tuple[int, int]] = []
    plan = await plan_teardown(engine, index_name, vectors=True)
    with pytest.raises(DocumentsNotWritten, match="Stopped: 20 documents"):
        await plan.apply(
            engine, progress=lambda done, total: told.append((done, total)), stopped=lambda: len(told) == 2
        )
    assert told == [(10, 45), (20, 45)]
    assert await engine.count(index_name, there) == 25
    await tear_down(engine, index_name, vectors=True)
    assert await engine.count(index_name, there) == 0
    with pytest.raises(IndexNotPrepared):
        await engine.index_meta(index_name)


async def test_what_is_shown_is_what_is_sent(engine: Engine, index_name: str) -> None:
    await with_vectors(engine, index_name, 1)
    plan = await plan_teardown(engine, index_name, vectors=True)
    assert [(one.method, one.path.partition("?")[0]) for one in plan.shown] == [
        ("POST", f"/{index_name}/_update_by_query"),
        ("PUT", f"/{index_name}/_mapping"),
    ]
    assert "slices=auto" in plan.shown[0].path
    assert (await plan_teardown(engine, index_name)).shown == plan.requests


async def test_vectors_of_an_index_that_refuses_writes_stay_and_the_block_is_named(
    engine: Engine, index_name: str
) -> None:
    await existing(engine, index_name)
    meta = (await set_up(engine, spec(index_name))).meta
    document = write_action(index_name, "2", {"name": "lamp"}, "lamp", VECTOR, meta, dialect_named(meta.dialect))
    await engine.bulk([document], refresh=True)
    await engine.send("PUT", f"/{index_name}/_settings", {"index.blocks.write": True})
    with pytest.raises(EngineRejected, match=r"whoever asks .403.: cluster_block_exception"):
        await tear_down(engine, index_name, vectors=True)
    await engine.send("PUT", f"/{index_name}/_settings", {"index.blocks.write": None})
    await tear_down(engine, index_name, vectors=True)
    assert await engine.get(index_name, "2") == {"name": "lamp"}


async def test_names_beyond_ascii_leave_nothing_behind(engine: Engine) -> None:
    before = await cluster_state(engine)
    for index in (f"лампы-{uuid.uuid4().hex}", f"lamps%2f-{uuid.uuid4().hex}"):
        await set_up(engine, IndexSpec(index, any_model(), template=f"{index}-*"))
        assert (await set_up(engine, IndexSpec(index, any_model(), template=f"{index}-*"))).requests == ()
        await engine.create_index(f"{index}-1", {})
        assert (await engine.index_meta(f"{index}-1")).bundle == "starter"
        await engine.delete_index(f"{index}-1")
        await tear_down(engine, index)
    assert await cluster_state(engine) == before


async def test_an_empty_name_is_not_taken_for_the_only_index(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, any_model()))
    with pytest.raises(InvalidInput, match="it is empty"):
        await tear_down(engine, "", delete_documents=True)
    with pytest.raises(InvalidInput, match="it is empty"):
        await set_up(engine, IndexSpec("", any_model()))
    assert await engine.index_exists(index_name)


async def test_planning_sends_nothing_that_changes_anything(opensearch: Node, index_name: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as engine:
        await set_up(engine, IndexSpec(index_name, any_model()))
        before = await cluster_state(engine)
        proxy.requests.clear()
        plan = await plan_teardown(engine, index_name)
        assert [(request.method, request.path) for request in plan.requests] == [("DELETE", f"/{index_name}")]
        assert {method for method, path in proxy.requests if not path.endswith(("/_count", "/_refresh"))} == {"GET"}
        assert await cluster_state(engine) == before


async def test_what_setup_did_twice_is_undone_once(engine: Engine, index_name: str) -> None:
    before = await cluster_state(engine)
    await set_up(engine, IndexSpec(index_name, any_model()))
    await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-*"))
    once = await cluster_state(engine)
    assert (await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-*"))).requests == ()
    assert await cluster_state(engine) == once
    await tear_down(engine, index_name)
    assert await cluster_state(engine) == before


async def test_a_teardown_that_was_cut_short_is_repeated(engine: Engine, index_name: str) -> None:
    before = await cluster_state(engine)
    await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-*"))
    plan = await plan_teardown(engine, index_name)
    first = plan.requests[0]
    await engine.send(first.method, first.path)
    await tear_down(engine, index_name)
    assert await cluster_state(engine) == before


async def test_an_index_made_by_the_template_is_prepared(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-*"))
    child = f"{index_name}-2026"
    # As an application writes: a bulk request of ours makes no index.
    await engine.send("PUT", f"/{child}/_doc/1", {"title": "wing", "text": "lift"})
    try:
        assert await engine.index_meta(child) == await engine.index_meta(index_name)
        with pytest.raises(IndexNotPrepared, match="setup"):
            await tear_down(engine, child)
    finally:
        await engine.delete_index(child)
        await tear_down(engine, index_name)


async def test_a_template_of_somebody_elses_is_not_hidden(engine: Engine, index_name: str) -> None:
    other = f"other-{index_name}"
    await engine.send("PUT", f"/_index_template/{other}", {"index_patterns": [f"{index_name}-*"], "priority": 5})
    try:
        with pytest.raises(InvalidInput, match=other):
            await set_up(engine, IndexSpec(index_name, any_model(), template=f"{index_name}-2026*"))
        assert not await engine.index_exists(index_name)
    finally:
        await engine.send("DELETE", f"/_index_template/{other}")


async def test_elasticsearch(elasticsearch: Node) -> None:
    async with await Engine.connect(elasticsearch.url) as engine:
        before = await cluster_state(engine)
        await set_up(engine, IndexSpec("test-teardown", any_model(), template="test-teardown-*"))
        assert (await engine.index_meta("test-teardown")).dialect == "rank_features_saturation"
        await tear_down(engine, "test-teardown")
        assert await cluster_state(engine) == before
