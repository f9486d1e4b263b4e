"""An alias with an index of the old model behind it, and the steps of a migration into a second index."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, pick_encoder
from sidecar.cluster.documents import source_text, text_hash
from sidecar.cluster.reconcile import ReconcileSummary
from sidecar.cluster.second_index import (
    CopyRun,
    mark_second_index_verified,
    roll_indices_back,
    start_second_index,
    swap_indices,
    verify_second_index,
)
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.domain import JsonObject
from sidecar.engine import Engine, dialect_named
from sidecar.search import AsyncSearcher
from tests.support.migration import NEW, SPARSE, Judge, prepare_old

QUERIES = ["lion river", "the wolf and the bear", "fox 3"]


class Names:
    """An application's name, which is an alias, and the two indices behind it."""

    def __init__(self, stem: str) -> None:
        self.alias, self.first, self.second = stem, f"{stem}-1", f"{stem}-2"


@pytest.fixture
async def names(engine: Engine) -> AsyncIterator[Names]:
    """Names that nobody uses; the indices are deleted afterwards."""
    found = Names(f"test-{uuid.uuid4().hex[:12]}")
    yield found
    for index in (found.first, found.second):
        await engine.delete_index(index, missing_ok=True)


async def prepare_alias(engine: Engine, client: AsyncSidecarClient, names: Names, held: dict[str, JsonObject]) -> None:
    """Make the old model's index with the documents in it, behind the application's name."""
    await prepare_old(engine, client, names.first, held)
    added: JsonObject = {"add": {"index": names.first, "alias": names.alias}}
    await engine.send("POST", "/_aliases", {"actions": [added]})


async def begin_second(engine: Engine, client: AsyncSidecarClient, names: Names) -> None:
    await start_second_index(engine, names.alias, names.second, pick_encoder(await client.models(), NEW))


async def copy(engine: Engine, client: AsyncSidecarClient, names: Names) -> ReconcileSummary:
    with DeadLetters(None) as letters:
        return await CopyRun(engine, client, names.alias, letters).run()


async def verified(engine: Engine, client: AsyncSidecarClient, names: Names) -> None:
    found = await verify_second_index(engine, client, names.alias)
    assert found.passed, found.problems
    await mark_second_index_verified(engine, found)


async def rolled_out_second(engine: Engine, client: AsyncSidecarClient, names: Names) -> None:
    await begin_second(engine, client, names)
    await copy(engine, client, names)
    await verified(engine, client, names)


async def swap_in(engine: Engine, client: AsyncSidecarClient, names: Names, force: bool = False) -> None:
    with DeadLetters(None) as letters:
        await swap_indices(engine, client, names.alias, letters, force=force)


async def roll_back(engine: Engine, client: AsyncSidecarClient, names: Names) -> None:
    with DeadLetters(None) as letters:
        await roll_indices_back(engine, client, names.alias, letters)


async def reconcile(engine: Engine, client: AsyncSidecarClient, names: Names) -> ReconcileSummary:
    with DeadLetters(None) as letters:
        return await ReconcileEvery(engine, client, names.alias, letters).run()


async def require_copy(
    engine: Engine, client: AsyncSidecarClient, index: str, model: str, held: Mapping[str, JsonObject]
) -> None:
    """The index holds just these documents, each with this model's vector of its text."""
    await engine.refresh(index)
    assert await engine.count(index) == len(held)
    meta = await engine.index_meta(index)
    assert meta.bundle == model
    dialect = dialect_named(meta.dialect)
    for name, source in held.items():
        stored = await engine.get(index, name)
        assert stored is not None
        ours = {*dialect.written_fields(meta.vector_field), meta.hash_field}
        assert {key: value for key, value in stored.items() if key not in ours} == source
        text = source_text(name, source, meta)
        assert stored[meta.hash_field] == text_hash(text)
        answer = await client.encode([text], model=model, pruning=meta.pruning, return_terms=True)
        wanted = dialect.document_fields(meta.vector_field, answer.encodings[0].vector, meta.fingerprint)
        assert stored[meta.vector_field] == pytest.approx(wanted[meta.vector_field], rel=1e-3)


async def searched_model(
    engine: Engine, client: AsyncSidecarClient, names: Names, held: Mapping[str, JsonObject]
) -> str:
    await engine.refresh(names.alias)
    judge = await Judge.of(client, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    searcher = AsyncSearcher(engine, client, SPARSE, index=names.alias)
    (model,) = {judge.model_of(query, await searcher.search(query)) for query in QUERIES}
    return model
