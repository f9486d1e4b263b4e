"""What an index has to have for words to be searched in its fields, and who says so where it lacks it."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.main import command_line
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.cluster.doctor import Severity, examine, gather
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine
from sidecar.errors import ProfileInvalid
from sidecar.search import AsyncSearcher, Profile
from tests.integration.search.conftest import World
from tests.integration.search.fields.conftest import PROPERTIES, QUERY, SINGLE, TEXT, lexical, searched, stored
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


async def test_words_of_fields_without_statistics_are_reasons_too(opensearch: Node, search_sidecar) -> None:
    """Elasticsearch has had such a type for text since 7.14."""
    index = f"terse-{uuid.uuid4().hex[:8]}"
    properties: JsonObject = {**PROPERTIES, "body": {"type": "match_only_text"}}
    async with await Engine.connect(opensearch.url) as engine, AsyncSidecarClient(search_sidecar.target) as client:
        await engine.create_index(index, {"settings": SINGLE, "mappings": {"properties": properties}})
        try:
            encoder = pick_encoder(await client.models(), None)
            await set_up(engine, IndexSpec(index, encoder, source_fields=("title", "body"), lexical_field="body"))
            await engine.bulk([BulkAction(index, name, source) for name, source in stored().items()], refresh=True)
            world = World(opensearch.url, search_sidecar.target, index)
            for settings, text, terms in (
                ({"fields": ["title^3", "body^2", "tags"], "type": "most_fields"}, "wolf", {"wolf"}),
                ({"fields": ["title", "body^2"], "type": "phrase"}, "near the river", {'"near the river"'}),
                ({}, "wolf", {"wolf"}),
            ):
                profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", **settings}]})
                result = await searched(world, engine, client, profile, text, size=3, explain=True)
                assert len(result.hits) == 3
                for hit in result.hits:
                    assert {share.term for share in hit.why} == terms
                    assert "body" in {share.field for share in hit.why}
                    assert sum(share.value for share in hit.why) == pytest.approx(hit.lexical_score, rel=1e-4)
        finally:
            await engine.delete_index(index)


async def test_a_field_that_the_index_lacks_is_refused(shop, engine, client) -> None:
    for fields, said in (
        (
            ["title", "brand"],
            r"searches for words in brand: .* Name those that it has: body, maker\.name, title, title\.plain",
        ),
        (["number^2"], r"words in number \(integer\): "),
    ):
        profile = Profile.parse({"name": "mine", "retrievers": [{"kind": "lexical", "fields": fields}]})
        with pytest.raises(ProfileInvalid, match=said):
            await searched(shop, engine, client, profile, QUERY)


async def test_behind_an_alias_one_index_with_the_field_is_enough(shop, engine, client) -> None:
    """It is found where it is; where it is no text in one of the indices, nobody's search would be whole."""
    older, alias = f"{shop.index}-older", f"{shop.index}-all"
    mapping = (await engine.mappings(shop.index))[shop.index]
    properties = {name: field for name, field in mapping["properties"].items() if name != "maker"}
    await engine.create_index(older, {"settings": SINGLE, "mappings": {**mapping, "properties": properties}})
    try:
        await engine.bulk([BulkAction(older, "old", {"title": "an old wolf"})], refresh=True)
        actions = [{"add": {"index": name, "alias": alias}} for name in (shop.index, older)]
        await engine.send("POST", "/_aliases", {"actions": actions})
        everywhere = World(shop.url, shop.target, alias)
        found = await searched(everywhere, engine, client, lexical("tied"), "wolf", size=200)
        assert {hit.index for hit in found.hits} == {shop.index, older}
        await engine.put_mapping(older, {"properties": {"maker": {"properties": {"name": {"type": "long"}}}}})
        with pytest.raises(ProfileInvalid, match=r"in maker\.name \(long\)"):
            await searched(everywhere, engine, client, lexical("tied"), "wolf")
    finally:
        await engine.delete_index(older)


async def test_a_field_that_came_since_the_record_was_read_is_searched_at_once(shop, engine, client) -> None:
    searcher = AsyncSearcher(engine, client, lexical("best"), index=shop.index)
    await searcher.search(QUERY)
    field = f"note_{uuid.uuid4().hex[:8]}"
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", "fields": [field, "title"]}]})
    later = AsyncSearcher(engine, client, profile, index=shop.index)
    with pytest.raises(ProfileInvalid, match=field):
        await later.search(QUERY)
    await engine.put_mapping(shop.index, {"properties": {field: TEXT}})
    assert (await later.search(QUERY)).hits


async def test_the_command_searches_and_doctor_finds_nothing(shop, engine, client, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nretrievers:\n  - {kind: lexical, weight: 0.4, fields: [title^3, body], tie_breaker: 0.3,"
        " minimum_should_match: -75%, operator: or}\n  - {kind: sparse, weight: 0.6}\n"
    )
    where = ["--index", shop.index, "--profile", str(path), "--engine", shop.url, "--sidecar", shop.target]
    runner = CliRunner(env={"COLUMNS": "200"})
    shown = await asyncio.to_thread(
        runner.invoke, command_line(), ["search", QUERY, *where, "--explain"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    assert "title:wolf" in shown.stdout
    assert "body:river" in shown.stdout
    told = await asyncio.to_thread(
        runner.invoke, command_line(), ["search", QUERY, *where, "--explain", "--json"], catch_exceptions=False
    )
    shares = json.loads(told.stdout)["hits"][0]["why"]
    assert {share["field"] for share in shares} >= {"title", None}
    findings = examine(await gather(engine, shop.index, served=await client.models()))
    assert [one for one in findings if one.severity is Severity.ERROR] == []
