"""What an index for a new model takes over from the old one: settings, mappings, aliases, pipelines."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.domain import JsonObject, JsonValue
from sidecar.engine import BulkAction, Engine
from sidecar.errors import EngineError
from tests.support.migration import OLD, documents, put
from tests.support.second_index import (
    Names,
    prepare_alias,
    reconcile,
    require_copy,
    roll_back,
    rolled_out_second,
    swap_in,
)

pytestmark = pytest.mark.integration


async def test_the_new_index_is_the_old_one_s_twin(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    """Settings, analysers, fields and foreign entries of `_meta`; aliases move with filter and routing."""
    await engine.create_index(
        names.first,
        {
            "settings": {
                "index": {"number_of_shards": 3, "number_of_replicas": 0, "max_result_window": 5000},
                "analysis": {"analyzer": {"plain": {"type": "custom", "tokenizer": "whitespace"}}},
            },
            "mappings": {
                "_meta": {"theirs": {"owner": "shop"}},
                "dynamic": "strict",
                "properties": {
                    "text": {"type": "text", "analyzer": "plain"},
                    "kind": {"type": "keyword"},
                    "parts": {"type": "nested", "properties": {"name": {"type": "keyword"}}},
                },
            },
        },
    )
    old = pick_encoder(await both.models(), OLD)
    await set_up(engine, IndexSpec(names.first, old, source_fields=("text",), lexical_field="text"))
    cats: JsonObject = {"term": {"kind": "cat"}}
    added: list[JsonValue] = [
        {"add": {"index": names.first, "alias": names.alias, "is_write_index": True}},
        {"add": {"index": names.first, "alias": f"{names.alias}-cats", "filter": cats, "routing": "7"}},
    ]
    await engine.send("POST", "/_aliases", {"actions": added})
    held: dict[str, JsonObject] = {
        "a": {"text": "a lion", "kind": "cat", "parts": [{"name": "paw"}, {"name": "tail"}]},
        "b": {"text": "a wolf", "kind": "dog"},
        "c": {"kind": "dog"},
    }
    await put(engine, names.alias, held)
    routed = BulkAction(names.alias, "r", {"text": "a fox", "kind": "dog"}, routing="elsewhere")
    assert all(item.written for item in await engine.bulk([routed], refresh=True))
    with DeadLetters(None) as letters:
        await ReconcileEvery(engine, both, names.alias, letters).run()
    await rolled_out_second(engine, both, names)
    before, after = (
        (await engine.mappings(names.first))[names.first],
        (await engine.mappings(names.second))[names.second],
    )
    assert after["properties"] == before["properties"]
    assert after["dynamic"] == "strict"
    assert after["_meta"]["theirs"] == {"owner": "shop"}
    answer = await engine.read("GET", f"/{names.second}/_settings", {"flat_settings": "true"})
    settings = answer[names.second]["settings"]
    assert settings["index.number_of_shards"] == "3"
    assert settings["index.max_result_window"] == "5000"
    assert settings["index.analysis.analyzer.plain.tokenizer"] == "whitespace"
    aliases = (await engine.read("GET", f"/{names.first}/_alias"))[names.first]["aliases"]
    await swap_in(engine, both, names)
    assert (await engine.read("GET", f"/{names.first}/_alias"))[names.first]["aliases"] == {}
    assert (await engine.read("GET", f"/{names.second}/_alias"))[names.second]["aliases"] == aliases
    nested = {"nested": {"path": "parts", "query": {"term": {"parts.name": "tail"}}}}
    assert await engine.count(names.alias, nested) == 1
    await engine.send("DELETE", f"/{names.alias}/_doc/r?routing=elsewhere&refresh=true")
    assert await engine.count(names.alias) == 3
    assert (await reconcile(engine, both, names)).gone == 1
    await engine.refresh(names.first)
    assert await engine.count(names.first) == 3


async def test_an_ingest_pipeline_belongs_to_the_index_that_is_written_to(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """It never runs on copies: the node at hand runs none, and would refuse every document of an index that has one."""
    key = "index.default_pipeline"
    path = f"/_ingest/pipeline/{names.alias}"

    async def has_pipeline(index: str) -> bool:
        answer = await engine.read("GET", f"/{index}/_settings", {"flat_settings": "true"})
        return bool(answer[index]["settings"].get(key) == names.alias)

    held = documents(5)
    await engine.send("PUT", path, {"processors": [{"set": {"field": "seen", "value": True}}]})
    try:
        await prepare_alias(engine, both, names, held)
        await engine.send("PUT", f"/{names.first}/_settings", {key: names.alias})
        await rolled_out_second(engine, both, names)
        assert not await has_pipeline(names.second)
        await swap_in(engine, both, names)
        assert await has_pipeline(names.second)
        assert not await has_pipeline(names.first)
        with pytest.raises(EngineError, match="ingest"):
            await engine.send("PUT", f"/{names.alias}/_doc/d9", {"text": "x"})
        await engine.send("DELETE", f"/{names.first}/_doc/d1?refresh=true")
        await roll_back(engine, both, names)
        assert await has_pipeline(names.first)
        assert not await has_pipeline(names.second)
        await require_copy(engine, both, names.first, OLD, held)
    finally:
        for index in (names.first, names.second):
            await engine.delete_index(index, missing_ok=True)
        await engine.send("DELETE", path)
