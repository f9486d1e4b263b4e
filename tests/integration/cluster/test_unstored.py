"""An index that leaves fields out of `_source`: nothing is written anew from there that would be lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up, tear_down
from sidecar.cluster.migrate import Candidate, start
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.cluster.second_index import start_second_index
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine
from sidecar.errors import InvalidInput
from tests.support.dialects import any_model

pytestmark = pytest.mark.integration

DOCUMENT: JsonObject = {"text": "A lamp with a long arm", "notes": "secret"}


async def prepare(engine: Engine, client: AsyncSidecarClient, index: str, excludes: Sequence[str]) -> None:
    text: JsonObject = {"type": "text"}
    mappings: JsonObject = {"_source": {"excludes": list(excludes)}, "properties": {"text": text, "notes": text}}
    await engine.create_index(index, {"mappings": mappings})
    encoder = pick_encoder(await client.models(), None)
    await set_up(engine, IndexSpec(index, encoder, source_fields=("text",), lexical_field="text"))
    await engine.bulk([BulkAction(index, "1", DOCUMENT)], refresh=True)


async def reconcile(engine: Engine, client: AsyncSidecarClient, index: str) -> int:
    with DeadLetters(None) as letters:
        return (await ReconcileRun(engine, client, index, letters).run()).written


async def test_what_is_not_in_the_source_is_found_afterwards(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    await prepare(engine, client, index_name, ["notes"])
    candidate = any_model("successor")
    with pytest.raises(InvalidInput, match="leaves notes out of _source"):
        await reconcile(engine, client, index_name)
    with pytest.raises(InvalidInput, match="leaves notes out of _source"):
        await start(engine, index_name, Candidate(candidate))
    with pytest.raises(InvalidInput, match="leaves notes out of _source"):
        await tear_down(engine, index_name, vectors=True)
    await engine.refresh(index_name)
    assert await engine.count(index_name, {"match": {"notes": "secret"}}) == 1
    assert await engine.count(index_name, {"exists": {"field": "splade_hash"}}) == 0
    plan = await tear_down(engine, index_name)
    assert not any("vectors" in sentence for sentence in plan.left)


async def test_a_teardown_says_why_vectors_stay(engine: Engine, client: AsyncSidecarClient, index_name: str) -> None:
    await prepare(engine, client, index_name, ["notes"])
    await engine.bulk([BulkAction(index_name, "1", {**DOCUMENT, "splade_hash": "x"})], refresh=True)
    assert "would lose what the index leaves out" in (await tear_down(engine, index_name)).left[0]


async def test_a_vector_out_of_the_source_is_written_by_one_model_and_not_beside_another(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    await prepare(engine, client, index_name, ["splade"])
    assert await reconcile(engine, client, index_name) == 1
    assert await reconcile(engine, client, index_name) == 0
    candidate = any_model("successor")
    with pytest.raises(InvalidInput, match="leaves splade out of _source"):
        await start(engine, index_name, Candidate(candidate))
    alias, second = f"{index_name}-alias", f"{index_name}-2"
    await engine.send("POST", "/_aliases", {"actions": [{"add": {"index": index_name, "alias": alias}}]})
    with pytest.raises(InvalidInput, match="leaves splade out"):
        await start_second_index(engine, alias, second, candidate)
    assert not await engine.index_exists(second)
