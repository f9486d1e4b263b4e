"""Setting indices up on a real node."""

from __future__ import annotations

import pytest

from sidecar.cluster import IndexSpec, plan_setup, set_up, tear_down
from sidecar.cluster.documents import text_hash
from sidecar.domain import ModelInfo, ModelKind, Pruning, PruningType
from sidecar.engine import BulkAction, Engine
from sidecar.errors import EngineRejected, FingerprintMismatch, IndexNotFound, InvalidInput
from tests.support.faults import faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


def model(name: str = "starter") -> ModelInfo:
    pruning = Pruning(PruningType.MAX_RATIO, 0.1)
    return ModelInfo(
        name,
        ModelKind.SPARSE_ENCODER,
        text_hash(name) * 2,
        "Apache-2.0",
        512,
        99,
        "int8",
        True,
        document_pruning=pruning,
    )


async def test_a_new_index(engine: Engine, index_name: str) -> None:
    spec = IndexSpec(index_name, model(), settings={"number_of_shards": 2})
    plan = await set_up(engine, spec)
    assert plan.creates
    assert await engine.index_meta(index_name) == plan.meta == spec.meta("rank_features")
    properties = (await engine.mappings(index_name))[index_name]["properties"]
    assert properties["splade"] == {"type": "rank_features"}
    assert properties["splade_hash"] == {"type": "keyword"}
    assert properties["title"] == {"type": "text", "analyzer": "english", "copy_to": ["content"]}
    assert properties["content"] == {"type": "text", "analyzer": "english"}


async def test_twice_is_once(opensearch: Node, index_name: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as engine:
        await set_up(engine, IndexSpec(index_name, model()))
        proxy.requests.clear()
        again = await set_up(engine, IndexSpec(index_name, model()))
        assert again.requests == ()
        assert {method for method, _ in proxy.requests} == {"GET"}


async def test_planning_sends_nothing_that_changes_anything(opensearch: Node, index_name: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as engine:
        plan = await plan_setup(engine, IndexSpec(index_name, model()))
        assert {method for method, _ in proxy.requests} == {"GET"}
        assert [(request.method, request.path) for request in plan.requests] == [("PUT", f"/{index_name}")]
        with pytest.raises(IndexNotFound):
            await engine.index_meta(index_name)
        await plan.apply(engine)
        assert await engine.index_meta(index_name) == plan.meta


async def test_another_model_is_refused(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, model()))
    with pytest.raises(FingerprintMismatch, match="sidecar migrate"):
        await set_up(engine, IndexSpec(index_name, model("successor")))


async def test_other_fields_are_refused(engine: Engine, index_name: str) -> None:
    await set_up(engine, IndexSpec(index_name, model()))
    with pytest.raises(InvalidInput, match="source_fields"):
        await set_up(engine, IndexSpec(index_name, model(), source_fields=("body",)))
    with pytest.raises(InvalidInput, match="vector_field"):
        await set_up(engine, IndexSpec(index_name, model(), vector_field="other"))


EXISTING = {
    "mappings": {
        "_meta": {"owner": "shop team"},
        "properties": {
            "name": {"type": "text", "fields": {"exact": {"type": "keyword"}, "german": {"type": "text"}}},
            "price": {"type": "float"},
            "details": {"properties": {"blurb": {"type": "text"}}},
        },
    }
}


async def test_an_index_that_exists_gets_fields_and_keeps_its_own(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, EXISTING)
    await engine.bulk([BulkAction(index_name, "1", {"name": "lamp", "price": 9.5})], refresh=True)
    plan = await set_up(engine, IndexSpec(index_name, model(), source_fields=("name",), lexical_field="name"))
    assert not plan.creates
    mapping = (await engine.mappings(index_name))[index_name]
    assert mapping["_meta"]["owner"] == "shop team"
    assert set(mapping["properties"]) == {"name", "price", "details", "splade", "splade_hash"}
    assert await engine.count(index_name) == 1
    again = IndexSpec(index_name, model(), source_fields=("name",), lexical_field="name")
    assert (await set_up(engine, again)).requests == ()


@pytest.mark.parametrize("field", ["name", "name.german", "details.blurb"])
async def test_the_lexical_field_may_lie_deeper(engine: Engine, index_name: str, field: str) -> None:
    await engine.create_index(index_name, EXISTING)
    plan = await plan_setup(engine, IndexSpec(index_name, model(), source_fields=("name",), lexical_field=field))
    assert plan.meta.lexical_field == field


async def test_one_of_the_source_fields_of_an_index_that_exists_may_be_the_lexical_one(
    engine: Engine, index_name: str
) -> None:
    text = {"type": "text"}
    wanted = IndexSpec(index_name, model(), lexical_field="text")
    with pytest.raises(InvalidInput, match="one of several"):
        await plan_setup(engine, wanted)
    await engine.create_index(index_name, {"mappings": {"properties": {"title": text, "text": text}}})
    with pytest.raises(InvalidInput, match="one of several"):
        await plan_setup(engine, IndexSpec(index_name, model(), lexical_field="text", template=f"{index_name}-*"))
    assert (await set_up(engine, wanted)).meta.lexical_field == "text"
    assert (await set_up(engine, wanted)).requests == ()


@pytest.mark.parametrize("field", [None, "price", "nobody", "name.exact", "details"])
async def test_an_index_that_exists_needs_a_lexical_field(engine: Engine, index_name: str, field: str | None) -> None:
    await engine.create_index(index_name, EXISTING)
    with pytest.raises(InvalidInput, match="--lexical-field"):
        await plan_setup(engine, IndexSpec(index_name, model(), source_fields=("name",), lexical_field=field))


def typo(index: str, *fields: str) -> IndexSpec:
    return IndexSpec(index, model(), source_fields=fields or ("nmae",), lexical_field="details.blurb")


async def test_a_source_field_that_no_document_has_is_refused(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, EXISTING)
    await engine.bulk([BulkAction(index_name, "1", {"name": "lamp", "colour": "red"})], refresh=True)
    with pytest.raises(InvalidInput, match=r"no field nmae.*--source-field.* colour, details, name, price\.") as caught:
        await set_up(engine, typo(index_name, "name", "nmae"))
    assert caught.value.field == "source_fields"
    assert "splade_sidecar" not in (await engine.mappings(index_name))[index_name]["_meta"]
    assert (await set_up(engine, typo(index_name, "name", "colour"))).meta.source_fields == ("name", "colour")


async def test_a_source_field_may_still_come(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, EXISTING)
    assert (await plan_setup(engine, typo(index_name, "summary"))).meta.source_fields == ("summary",)


async def test_a_source_field_may_be_one_that_is_not_mapped(engine: Engine, index_name: str) -> None:
    mappings = {**EXISTING["mappings"], "dynamic": False}
    await engine.create_index(index_name, {"mappings": mappings})
    await engine.bulk([BulkAction(index_name, "1", {"name": "lamp", "summary": "red"})], refresh=True)
    assert (await plan_setup(engine, typo(index_name, "summary"))).meta.source_fields == ("summary",)


async def test_a_source_field_can_not_come_where_the_mapping_is_strict(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, {"mappings": {**EXISTING["mappings"], "dynamic": "strict"}})
    with pytest.raises(InvalidInput, match="no field nmae"):
        await plan_setup(engine, typo(index_name))


async def test_an_alias_is_no_field_of_a_document(engine: Engine, index_name: str) -> None:
    properties = {**EXISTING["mappings"]["properties"], "label": {"type": "alias", "path": "name"}}
    await engine.create_index(index_name, {"mappings": {"properties": properties}})
    await engine.bulk([BulkAction(index_name, "1", {"name": "lamp"})], refresh=True)
    with pytest.raises(InvalidInput, match="no field label"):
        await plan_setup(engine, typo(index_name, "label"))


async def test_a_setup_with_a_typo_can_be_taken_back(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, EXISTING)
    await set_up(engine, typo(index_name))
    with pytest.raises(InvalidInput, match="sidecar teardown"):
        await set_up(engine, typo(index_name, "name"))
    await tear_down(engine, index_name)
    assert (await set_up(engine, typo(index_name, "name"))).meta.source_fields == ("name",)


async def test_a_field_that_is_taken_is_left_alone(engine: Engine, index_name: str) -> None:
    body = {"mappings": {"properties": {"name": {"type": "text"}, "splade": {"type": "keyword"}}}}
    await engine.create_index(index_name, body)
    with pytest.raises(EngineRejected, match="--vector-field"):
        await set_up(engine, IndexSpec(index_name, model(), source_fields=("name",), lexical_field="name"))
    spec = IndexSpec(index_name, model(), source_fields=("name",), lexical_field="name", vector_field="vec")
    await set_up(engine, spec)
    assert (await engine.index_meta(index_name)).vector_field == "vec"


async def test_an_alias_over_several_indices_is_refused(engine: Engine, index_name: str) -> None:
    alias = f"{index_name}-all"
    for suffix in ("a", "b"):
        await engine.create_index(f"{index_name}-{suffix}", {"aliases": {alias: {}}})
    try:
        with pytest.raises(InvalidInput, match="2 indices"):
            await plan_setup(engine, IndexSpec(alias, model()))
    finally:
        for suffix in ("a", "b"):
            await engine.delete_index(f"{index_name}-{suffix}")


async def test_a_name_that_no_index_can_have_is_refused_and_an_alias_may_have_it(
    engine: Engine, index_name: str
) -> None:
    alias = index_name.replace("test-", "Test-")
    with pytest.raises(InvalidInput, match="capital letters"):
        await set_up(engine, IndexSpec(alias, model()))
    await engine.create_index(
        index_name, {"aliases": {alias: {}}, "mappings": {"properties": {"content": {"type": "text"}}}}
    )
    plan = await set_up(engine, IndexSpec(alias, model()))
    assert plan.index == index_name


async def test_words_are_scored_as_over_one_text(engine: Engine, index_name: str) -> None:
    """BM25 over the copies of title and text is BM25 over title + " " + text."""
    documents = [
        {"title": "Sparse retrieval", "text": "Terms and weights of sparse vectors."},
        {"title": "", "text": "Sparse sparse sparse."},
        {"title": "Wings", "text": "Lift of a wing in a slipstream, with many words besides to be a longer text."},
        {"title": "Sparse wings", "text": ""},
    ]
    plain = f"{index_name}-plain"
    await set_up(engine, IndexSpec(index_name, model()))
    await engine.create_index(
        plain,
        {
            "settings": {"number_of_shards": 1},
            "mappings": {"properties": {"all": {"type": "text", "analyzer": "english"}}},
        },
    )
    try:
        for place, document in enumerate(documents):
            joined = f"{document['title']} {document['text']}"
            await engine.bulk(
                [BulkAction(index_name, str(place), document), BulkAction(plain, str(place), {"all": joined})]
            )
        await engine.refresh(index_name)
        await engine.refresh(plain)
        for words in ("sparse", "wing", "sparse wings weights", "slipstream of vectors"):
            ours = await engine.search(index_name, {"query": {"match": {"content": words}}})
            theirs = await engine.search(plain, {"query": {"match": {"all": words}}})
            assert ours.hits
            assert [(hit.id, hit.score) for hit in ours.hits] == [
                (hit.id, pytest.approx(hit.score)) for hit in theirs.hits
            ]
    finally:
        await engine.delete_index(plain)
