"""An alias is pointed at another model's index while `reconcile` works by it: no index gets another model's vectors."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun
from sidecar.cluster.reconcile.finding import Reason
from sidecar.cluster.reconcile.tally import PutOff
from sidecar.domain import JsonObject, ModelInfo
from sidecar.engine import Engine, StoredDocument
from sidecar.server.process import SidecarProcess
from tests.support.migration import NEW, documents
from tests.support.second_index import Names, begin_second, copy, prepare_alias, require_copy

pytestmark = [pytest.mark.integration, pytest.mark.faults]

DOCUMENTS = documents(14)
FOLLOWING = ReconcileOptions(follow=True)


class Moving(AsyncSidecarClient):
    """Lets the alias move right after a run has read for the `turn`-th time which model its index is of."""

    def __init__(self, target: str, engine: Engine, names: Names, turn: int) -> None:
        super().__init__(target, timeout=120.0)
        self._engine, self._names, self._left = engine, names, turn

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        self._left -= 1
        if self._left == 0:
            await move(self._engine, self._names)
        return await super().models(timeout=timeout)


async def move(engine: Engine, names: Names) -> None:
    """As whoever has two indices does it: by one request, and by nothing of ours."""
    actions: list[JsonObject] = [
        {"remove": {"index": names.first, "alias": names.alias}},
        {"add": {"index": names.second, "alias": names.alias}},
    ]
    await engine.send("POST", "/_aliases", {"actions": actions})


async def held(engine: Engine, index: str) -> dict[str, JsonObject | None]:
    return {name: await engine.get(index, name) for name in DOCUMENTS}


@pytest.fixture
async def pair(engine: Engine, both: AsyncSidecarClient, names: Names) -> Names:
    """Two indices with the same documents, each with its own model's vectors."""
    await prepare_alias(engine, both, names, DOCUMENTS)
    await begin_second(engine, both, names)
    await copy(engine, both, names)
    return names


@pytest.mark.parametrize("turn", [1, 2], ids=["filling", "comparing"])
async def test_before_the_index_is_read(engine: Engine, two_models: SidecarProcess, pair: Names, turn: int) -> None:
    before = [await held(engine, index) for index in (pair.first, pair.second)]
    with DeadLetters(None) as letters:
        async with Moving(two_models.target, engine, pair, turn) as moving:
            await ReconcileRun(engine, moving, pair.alias, letters, FOLLOWING).look()
    assert [await held(engine, index) for index in (pair.first, pair.second)] == before


async def test_a_document_that_was_put_off_in_the_index_that_the_alias_left(
    engine: Engine, both: AsyncSidecarClient, pair: Names
) -> None:
    before = await held(engine, pair.first)
    (stored,) = await engine.stored([StoredDocument(pair.first, "d1", 0, 0, {})], ["splade_hash"])
    assert stored is not None
    with DeadLetters(None) as letters:
        run = ReconcileRun(engine, both, pair.alias, letters, FOLLOWING)
        # Its hash is still that of a document whose vector was lost: it would be encoded anew.
        run._tally.put_off(PutOff(stored, Reason.OUTDATED, stored.source["splade_hash"]))
        await move(engine, pair)
        await run._again()
    assert await held(engine, pair.first) == before
    assert run.summary.left == 0


async def test_what_was_not_compared_is_compared_the_next_time(
    engine: Engine, both: AsyncSidecarClient, two_models: SidecarProcess, pair: Names
) -> None:
    """The new index has a text whose vector is an older one's; the alias moves as the old index is compared."""
    changed = "the cat and the wolf near the bear"
    await engine.send("POST", f"/{pair.second}/_update/d3", {"doc": {"text": changed}})
    # On every shard something was written since: by its number alone, the change is an old one.
    for number in range(100, 103):
        for name in DOCUMENTS.keys() - {"d3"}:
            await engine.send("POST", f"/{pair.second}/_update/{name}", {"doc": {"number": number}})
    with DeadLetters(None) as letters:
        async with Moving(two_models.target, engine, pair, 2) as moving:
            run = ReconcileRun(engine, moving, pair.alias, letters, FOLLOWING)
            await run.look()
            await run.look()
    assert run.summary.changed == 1
    wanted: dict[str, JsonObject] = {name: {**document, "number": 102} for name, document in DOCUMENTS.items()}
    await require_copy(engine, both, pair.second, NEW, {**wanted, "d3": {**DOCUMENTS["d3"], "text": changed}})
