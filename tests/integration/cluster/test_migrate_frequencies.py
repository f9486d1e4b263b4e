"""Document frequencies belong to a model: each of the two keeps its own, and a swap lets them change places."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.cluster.migrate import Candidate, count_frequencies, rollback, start, status, swap
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.engine import Engine
from sidecar.search import AsyncSearcher
from sidecar.search.profile import Profile
from tests.support.migration import NEW, OLD, documents, fill_new, prepare_old, put, rolled_out

pytestmark = pytest.mark.integration

ADAPTED = Profile.parse({"name": "adapted", "retrievers": [{"kind": "sparse", "collection_idf": 1.0}]})


async def fingerprint_of(client: AsyncSidecarClient, model: str) -> str:
    return pick_encoder(await client.models(), model).fingerprint


async def test_a_roll_back_brings_the_table_back(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    table = await refresh_frequencies(engine, both, index_name)
    await rolled_out(engine, both, index_name)
    assert await engine.index_record(index_name) == (await engine.index_meta(index_name), table)
    await swap(engine, index_name)
    assert (await engine.index_record(index_name))[1] is None, "the old model's table is none of the new one's"
    assert (await engine.index_record(index_name, table.fingerprint))[1] == table
    await rollback(engine, index_name)
    assert (await engine.index_record(index_name))[1] == table


async def test_the_candidate_is_counted_for_before_the_swap(
    engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    """From a model whose queries are inferred to one that looks them up."""
    inferred = pick_encoder(await both.models(), NEW)
    await set_up(engine, IndexSpec(index_name, inferred, source_fields=("text",)))
    await put(engine, index_name, documents(20))
    with DeadLetters(None) as letters:
        await ReconcileEvery(engine, both, index_name, letters).run()
    await start(engine, index_name, Candidate(pick_encoder(await both.models(), OLD)))
    assert await count_frequencies(engine, both, index_name) is None, "nothing is encoded yet"
    await fill_new(engine, both, index_name)
    table = await count_frequencies(engine, both, index_name)
    assert table is not None
    found = (await status(engine, index_name)).record
    assert found is not None
    assert found.frequencies == table
    assert (await engine.index_record(index_name))[1] is None
    await swap(engine, index_name, force=True)
    assert (await engine.index_record(index_name))[1] == table
    result = await AsyncSearcher(engine, both, ADAPTED, index=index_name).search("lion river")
    assert result.hits
    assert result.degraded is None


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_table_is_entered_where_its_model_is_by_then(
    engine: Engine, both: AsyncSidecarClient, index_name: str, swapped: bool
) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    await rolled_out(engine, both, index_name)
    if swapped:
        await swap(engine, index_name)
    before = await engine.index_meta(index_name)
    fingerprint = await fingerprint_of(both, OLD)
    table = await refresh_frequencies(engine, both, index_name, fingerprint=fingerprint)
    record = (await status(engine, index_name)).record
    assert record is not None
    assert (record.frequencies == table) is swapped
    assert (await engine.index_record(index_name, fingerprint))[1] == table
    assert await engine.index_meta(index_name) == before
