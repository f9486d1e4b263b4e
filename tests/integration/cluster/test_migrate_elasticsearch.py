"""A migration's whole life on a real Elasticsearch, in the dialect that it is given: fields, and indices.

7.10.2 is the newest that can be had as jars. What newer ones are sent: tests/unit/cluster.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.migrate import abort, drop, rollback, status, swap
from sidecar.cluster.second_index import drop_first_index, find_pair
from sidecar.domain import JsonObject
from sidecar.engine import MIGRATION_KEY, BulkPolicy, Engine, MigrationState
from sidecar.search import AsyncSearcher
from tests.support.migration import (
    NEW,
    OLD,
    SPARSE,
    Judge,
    begin,
    documents,
    fill_new,
    prepare_old,
    put,
    rolled_out,
    text_of,
)
from tests.support.nodes import Node
from tests.support.second_index import (
    QUERIES,
    Names,
    copy,
    prepare_alias,
    reconcile,
    require_copy,
    roll_back,
    rolled_out_second,
    searched_model,
    swap_in,
)

pytestmark = pytest.mark.integration

DIALECT = "rank_features_saturation"


@pytest.fixture
async def engine(elasticsearch: Node) -> AsyncIterator[Engine]:
    """Takes the place of the engine on OpenSearch, for the fixtures of `tests.support` too."""
    policy = BulkPolicy(first_wait=0.02, longest_wait=0.2)
    async with await Engine.connect(elasticsearch.url, bulk=policy) as connected:
        yield connected


@pytest.fixture
async def index(engine: Engine) -> AsyncIterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    await engine.delete_index(name, missing_ok=True)


async def _searched(engine: Engine, client: AsyncSidecarClient, index: str, judge: Judge) -> str:
    searcher = AsyncSearcher(engine, client, SPARSE, index=index)
    (model,) = {judge.model_of(query, await searcher.search(query)) for query in QUERIES}
    return model


async def test_a_second_field(engine: Engine, both: AsyncSidecarClient, index: str) -> None:
    held = documents(40)
    await prepare_old(engine, both, index, held)
    before = await engine.index_meta(index)
    assert before.dialect == DIALECT
    judge = await Judge.of(both, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    await rolled_out(engine, both, index)
    candidate = (await status(engine, index)).record.candidate
    assert candidate.dialect == DIALECT
    assert await _searched(engine, both, index, judge) == OLD
    assert (await swap(engine, index)).state is MigrationState.SWAPPED
    assert await _searched(engine, both, index, judge) == NEW
    await rollback(engine, index)
    assert await engine.index_meta(index) == before
    assert await _searched(engine, both, index, judge) == OLD
    await swap(engine, index)
    removed = await drop(engine, index, settle=0.0)
    assert (removed.model, removed.documents) == (before, 40)
    assert await _searched(engine, both, index, judge) == NEW
    assert MIGRATION_KEY not in dict((await engine.mappings(index))[index]["_meta"])
    for name, source in held.items():
        stored = await engine.get(index, name)
        assert stored is not None
        assert set(stored) == {*source, candidate.vector_field, candidate.hash_field}


async def test_a_second_field_given_up(engine: Engine, both: AsyncSidecarClient, index: str) -> None:
    await prepare_old(engine, both, index, documents(20))
    before, mapping = await engine.get(index, "d1"), dict((await engine.mappings(index))[index]["_meta"])
    await begin(engine, both, index)
    await fill_new(engine, both, index)
    await put(engine, index, {"d1": {"text": text_of(1, 2)}})
    assert (await fill_new(engine, both, index)).written == 1
    assert (await abort(engine, index)).documents == 20
    assert dict((await engine.mappings(index))[index]["_meta"]) == mapping
    assert await engine.get(index, "d1") == {"text": text_of(1, 2)} != before


async def test_a_second_index(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    held = documents(30)
    await prepare_alias(engine, both, names, held)
    await rolled_out_second(engine, both, names)
    assert (await engine.index_meta(names.second)).dialect == DIALECT
    changed: dict[str, JsonObject] = {"d1": {"text": text_of(1, 2)}, "new": {"text": text_of(4, 3)}}
    await put(engine, names.alias, changed)
    await engine.send("DELETE", f"/{names.alias}/_doc/d2?refresh=true")
    held = {name: source for name, source in {**held, **changed}.items() if name != "d2"}
    await copy(engine, both, names)
    await reconcile(engine, both, names)
    await swap_in(engine, both, names)
    await require_copy(engine, both, names.second, NEW, held)
    assert await searched_model(engine, both, names, held) == NEW
    await roll_back(engine, both, names)
    await require_copy(engine, both, names.first, OLD, held)
    assert await searched_model(engine, both, names, held) == OLD
    await swap_in(engine, both, names)
    assert (await drop_first_index(engine, names.alias, settle=0.0)).index == names.first
    assert not await engine.index_exists(names.first)
    await require_copy(engine, both, names.alias, NEW, held)
    assert await find_pair(engine, names.alias) is None
