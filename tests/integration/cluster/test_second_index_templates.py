"""Index templates that match the name of the index that a migration makes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.cluster import IndexSpec, plan_teardown, set_up, tear_down
from sidecar.cluster.second_index import abort_second_index, drop_first_index, opening, start_second_index
from sidecar.cluster.second_index.inherited import Inherited, read_inherited
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import BulkAction, Engine
from sidecar.errors import InvalidInput
from tests.support.dialects import any_model
from tests.support.nodes import Node
from tests.support.second_index import Names

pytestmark = pytest.mark.integration

SUCCESSOR = any_model("successor")


async def prepare(engine: Engine, names: Names) -> None:
    await set_up(engine, IndexSpec(names.first, any_model()))
    added: JsonObject = {"add": {"index": names.first, "alias": names.alias}}
    await engine.send("POST", "/_aliases", {"actions": [added]})


async def behind(engine: Engine, alias: str) -> list[str]:
    return sorted(await engine.read("GET", f"/_alias/{alias}"))


@pytest.fixture
async def kind(engine: Engine, names: Names, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A template of the newer or of the older kind that gives indices of these names an alias and a pipeline."""
    kind: str = request.param
    given: JsonObject = {"aliases": {names.alias: {}}, "settings": {"index.default_pipeline": "tidy"}}
    body: JsonObject = {"template": given} if kind == "_index_template" else given
    await engine.send("PUT", f"/{kind}/{names.alias}", {"index_patterns": [f"{names.alias}-*"], **body})
    yield kind
    await engine.send("DELETE", f"/{kind}/{names.alias}")


@pytest.mark.parametrize("kind", ["_index_template", "_template"], indirect=True)
async def test_an_index_that_would_be_born_with_the_alias_is_not_made(engine: Engine, names: Names, kind: str) -> None:
    await set_up(engine, IndexSpec(names.first, any_model()))
    assert await behind(engine, names.alias) == [names.first]
    before = await engine.mappings(names.first)
    with pytest.raises(InvalidInput, match=f"the alias {names.alias}: it would be searched"):
        await start_second_index(engine, names.alias, names.second, SUCCESSOR)
    assert not await engine.index_exists(names.second)
    assert await engine.mappings(names.first) == before
    other = f"other-{names.second}"
    await start_second_index(engine, names.alias, other, SUCCESSOR)
    assert await behind(engine, names.alias) == [names.first]
    await abort_second_index(engine, names.alias)
    assert not await engine.index_exists(other)


@pytest.mark.parametrize("kind", ["_index_template"], indirect=True)
async def test_templates_that_nobody_may_see_give_no_alias_either(
    engine: Engine, names: Names, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(engine: Engine, index: str) -> Inherited:
        return Inherited()

    monkeypatch.setattr(opening, "read_inherited", nothing)
    await set_up(engine, IndexSpec(names.first, any_model()))
    await start_second_index(engine, names.alias, names.second, SUCCESSOR)
    assert await behind(engine, names.alias) == [names.first]
    await abort_second_index(engine, names.alias)


async def test_copies_run_through_no_pipeline_of_a_template(engine: Engine, names: Names) -> None:
    await prepare(engine, names)
    given: JsonObject = {"settings": {"index.default_pipeline": "tidy", "index.final_pipeline": "last"}}
    path = f"/_index_template/{names.alias}"
    await engine.send("PUT", path, {"index_patterns": [f"{names.alias}-*"], "template": given})
    try:
        pipelines = {"index.default_pipeline": "tidy", "index.final_pipeline": "last"}
        assert await read_inherited(engine, names.second) == Inherited((), pipelines)
        await start_second_index(engine, names.alias, names.second, SUCCESSOR)
        answer = await engine.read("GET", f"/{names.second}/_settings", {"flat_settings": "true"})
        settings = as_object(as_object(answer[names.second])["settings"])
        assert {key: settings[key] for key in pipelines} == dict.fromkeys(pipelines, "_none")
        await abort_second_index(engine, names.alias)
    finally:
        await engine.send("DELETE", path)


@pytest.mark.parametrize("existed", [True, False])
async def test_a_teardown_keeps_what_it_would_have_kept_before(engine: Engine, names: Names, existed: bool) -> None:
    if existed:
        text: JsonObject = {"type": "text"}
        mappings: JsonObject = {"properties": {"title": text, "text": text, "content": text}}
        await engine.create_index(names.first, {"mappings": mappings})
    await prepare(engine, names)
    await start_second_index(engine, names.alias, names.second, SUCCESSOR)
    for index in (names.alias, names.second):
        with pytest.raises(InvalidInput, match="is being migrated from"):
            await plan_teardown(engine, index, delete_documents=True)
    moved: list[JsonValue] = [
        {"remove": {"index": names.first, "alias": names.alias}},
        {"add": {"index": names.second, "alias": names.alias}},
    ]
    await engine.send("POST", "/_aliases", {"actions": moved})
    await drop_first_index(engine, names.alias)
    await engine.bulk([BulkAction(names.alias, "1", {"title": "a lamp"})], refresh=True)
    if existed:
        plan = await tear_down(engine, names.alias)
        assert "splade, splade_hash" in plan.left[0]
        assert await engine.count(names.alias) == 1
    else:
        with pytest.raises(InvalidInput, match="--delete-documents"):
            await tear_down(engine, names.alias)


async def test_elasticsearch_says_what_its_templates_give(elasticsearch: Node) -> None:
    async with await Engine.connect(elasticsearch.url) as engine:
        given: JsonObject = {"aliases": {"all": {}, "{index}-now": {}}, "settings": {"index.final_pipeline": "last"}}
        await engine.send("PUT", "/_template/older", {"index_patterns": ["older-*"], **given})
        await engine.send("PUT", "/_index_template/newer", {"index_patterns": ["newer-*"], "template": given})
        pipelines = {"index.final_pipeline": "last"}
        assert await read_inherited(engine, "older-2") == Inherited(("all", "older-2-now"), pipelines)
        assert (await read_inherited(engine, "newer-2")).pipelines == pipelines
        assert "all" in (await read_inherited(engine, "newer-2")).aliases
        assert await read_inherited(engine, "others-2") == Inherited()
        await engine.send("DELETE", "/_template/older")
        await engine.send("DELETE", "/_index_template/newer")
