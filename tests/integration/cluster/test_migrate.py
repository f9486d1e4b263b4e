"""Rolling a second model out on a real node: every step, repeated, undone, and done in the wrong order."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.cluster.migrate import (
    Candidate,
    VerifyOptions,
    abort,
    drop,
    plan_start,
    rollback,
    start,
    status,
    swap,
    verify,
)
from sidecar.engine import META_KEY, MIGRATION_KEY, Engine, MigrationState
from sidecar.errors import FingerprintMismatch, InvalidInput
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

pytestmark = pytest.mark.integration

QUERIES = ["lion river", "the wolf and the bear", "fox 3"]


async def meta_of(engine: Engine, index: str) -> dict[str, object]:
    mapping = (await engine.mappings(index))[index]
    found = mapping["_meta"]
    assert isinstance(found, dict)
    return dict(found)


async def searched_model(engine: Engine, client: AsyncSidecarClient, index: str, judge: Judge) -> str:
    """The model by which a fresh searcher answers each query."""
    searcher = AsyncSearcher(engine, client, SPARSE, index=index)
    (model,) = {judge.model_of(query, await searcher.search(query)) for query in QUERIES}
    return model


async def test_a_whole_life(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    held = documents(60)
    await prepare_old(engine, both, index_name, held)
    judge = await Judge.of(both, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    before = await engine.index_meta(index_name)
    await rolled_out(engine, both, index_name)
    assert await engine.index_meta(index_name) == before, "nobody notices a roll-out before the swap"
    assert await searched_model(engine, both, index_name, judge) == OLD
    first = await swap(engine, index_name)
    assert first.state is MigrationState.SWAPPED
    assert await searched_model(engine, both, index_name, judge) == NEW
    assert (await swap(engine, index_name)).switched == first.switched, "a second time changes nothing"
    await rollback(engine, index_name)
    await rollback(engine, index_name)
    assert await engine.index_meta(index_name) == before
    assert await searched_model(engine, both, index_name, judge) == OLD
    await swap(engine, index_name)
    removed = await drop(engine, index_name, settle=0.0)
    assert (removed.model, removed.documents) == (before, 60)
    assert await searched_model(engine, both, index_name, judge) == NEW
    meta = await engine.index_meta(index_name)
    assert MIGRATION_KEY not in await meta_of(engine, index_name)
    for name, source in held.items():
        stored = await engine.get(index_name, name)
        assert stored is not None
        assert set(stored) == {*source, meta.vector_field, meta.hash_field}
    with pytest.raises(InvalidInput, match="is not being migrated"):
        await rollback(engine, index_name)


async def test_start_tells_before_it_does(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(3))
    before = await engine.mappings(index_name)
    candidate = Candidate(pick_encoder(await both.models(), NEW))
    plan = await plan_start(engine, index_name, candidate)
    assert [request.method for request in plan.requests] == ["PUT"]
    assert await engine.mappings(index_name) == before
    await plan.apply(engine)
    again = await start(engine, index_name, candidate)
    assert (again.requests, again.record) == ((), plan.record)
    properties = (await engine.mappings(index_name))[index_name]["properties"]
    assert isinstance(properties, dict)
    added = {plan.record.candidate.vector_field, plan.record.candidate.hash_field}
    assert set(properties) - set(before[index_name]["properties"]) == added


async def test_what_can_not_be_started(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(3))
    models = await both.models()
    old, new = pick_encoder(models, OLD), pick_encoder(models, NEW)
    with pytest.raises(InvalidInput, match="already"):
        await start(engine, index_name, Candidate(old))
    with pytest.raises(InvalidInput, match="belongs to tiny-idf"):
        await start(engine, index_name, Candidate(new, vector_field="splade"))
    with pytest.raises(InvalidInput, match="is not being migrated"):
        await swap(engine, index_name)
    await start(engine, index_name, Candidate(new))
    with pytest.raises(InvalidInput, match="is being migrated to tiny-own-terms"):
        await start(engine, index_name, Candidate(old))
    with pytest.raises(InvalidInput, match="was begun with the field"):
        await start(engine, index_name, Candidate(new, vector_field="another"))


async def test_no_swap_without_a_verification(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    await begin(engine, both, index_name)
    found = await verify(engine, both, index_name)
    assert not found.passed
    assert (found.counts.documents, found.counts.missing, found.sample.compared) == (20, 20, 0)
    with pytest.raises(InvalidInput, match="was not verified"):
        await swap(engine, index_name)
    await rolled_out(engine, both, index_name)
    await put(engine, index_name, {"late": {"text": "a late lion"}})
    with pytest.raises(InvalidInput, match="1 documents of"):
        await swap(engine, index_name)
    assert (await swap(engine, index_name, allow_missing=1)).state is MigrationState.SWAPPED
    with pytest.raises(InvalidInput, match="searched already"):
        await verify(engine, both, index_name)


async def test_a_verification_finds_what_is_wrong(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    await rolled_out(engine, both, index_name)
    meta = (await status(engine, index_name)).record.candidate
    await engine.send("POST", f"/{index_name}/_update/d3?refresh=true", {"doc": {"text": "another text altogether"}})
    changed = await verify(engine, both, index_name)
    assert (changed.changed, changed.counts.missing, changed.passed) == (1, 0, False)
    assert (await verify(engine, both, index_name, VerifyOptions(allow_missing=1))).passed
    assert (await verify(engine, both, index_name, VerifyOptions(changed=False))).passed
    await fill_new(engine, both, index_name)
    stored = await engine.get(index_name, "d5")
    assert stored is not None
    weights = stored[meta.vector_field]
    assert isinstance(weights, dict)
    heaviest = max(weights, key=lambda term: weights[term])
    wrong = {**stored, meta.vector_field: {**weights, heaviest: float(weights[heaviest]) * 1.1}}
    await put(engine, index_name, {"d5": wrong})
    found = await verify(engine, both, index_name)
    assert found.sample.differing == ("d5",)
    assert found.sample.largest_difference == pytest.approx(0.1, rel=0.2)
    assert "1 of 20 sampled documents" in found.problems[0]


async def test_documents_change_while_both_models_live(
    engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    held = documents(40)
    await prepare_old(engine, both, index_name, held)
    await begin(engine, both, index_name)
    await fill_new(engine, both, index_name)
    await put(engine, index_name, {"d1": {"text": text_of(1, 2)}, "new": {"text": text_of(7, 3)}})
    await engine.send("POST", f"/{index_name}/_update/d2?refresh=true", {"doc": {"text": text_of(2, 4)}})
    await engine.send("DELETE", f"/{index_name}/_doc/d3?refresh=true")
    again = await fill_new(engine, both, index_name)
    assert (again.missing, again.changed, again.written) == (2, 1, 3)
    assert (await verify(engine, both, index_name)).counts.documents == 40
    assert (await status(engine, index_name)).counts.missing == 2, "the old model's field is another matter"


async def test_an_abandoned_migration_leaves_nothing(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    held = documents(30)
    await prepare_old(engine, both, index_name, held)
    before, meta = await engine.get(index_name, "d1"), await meta_of(engine, index_name)
    await rolled_out(engine, both, index_name)
    assert await engine.get(index_name, "d1") != before
    removed = await abort(engine, index_name)
    assert removed.documents == 30
    assert await engine.get(index_name, "d1") == before
    assert await meta_of(engine, index_name) == meta
    await rolled_out(engine, both, index_name)
    await swap(engine, index_name)
    with pytest.raises(InvalidInput, match="searched already"):
        await abort(engine, index_name, settle=0.0)


async def test_a_drop_waits_for_searchers(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(5))
    await rolled_out(engine, both, index_name)
    await swap(engine, index_name)
    waiting = asyncio.ensure_future(drop(engine, index_name, settle=3600.0))
    done, _ = await asyncio.wait({waiting}, timeout=1.0)
    assert not done
    waiting.cancel()
    assert (await rollback(engine, index_name)).state is MigrationState.FILLING


async def test_a_drop_that_was_cut_short_is_repeated(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(20))
    await rolled_out(engine, both, index_name)
    record = await swap(engine, index_name)

    def give_up(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await drop(engine, index_name, settle=0.0, progress=give_up)
    assert (await status(engine, index_name)).record.state is MigrationState.DROPPING
    with pytest.raises(InvalidInput, match="repeat `sidecar migrate drop"):
        await rollback(engine, index_name)
    with pytest.raises(FingerprintMismatch, match="keeps no vectors"):
        await engine.index_meta(index_name, record.previous.fingerprint)
    await drop(engine, index_name, settle=0.0)
    assert (await status(engine, index_name)).record is None


async def test_other_entries_of_meta_stay(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(5))
    meta = await meta_of(engine, index_name)
    await engine.put_mapping(index_name, {"_meta": {**meta, "theirs": {"owner": "shop"}}})
    await rolled_out(engine, both, index_name)
    await swap(engine, index_name)
    await drop(engine, index_name, settle=0.0)
    after = await meta_of(engine, index_name)
    assert after["theirs"] == {"owner": "shop"}
    assert set(after) == {*meta, "theirs"}
    assert after[META_KEY] != meta[META_KEY]


async def test_setting_up_again_does_not_disturb(engine: Engine, both: AsyncSidecarClient, index_name: str) -> None:
    await prepare_old(engine, both, index_name, documents(3))
    await begin(engine, both, index_name)
    models = await both.models()
    spec = IndexSpec(index_name, pick_encoder(models, OLD), source_fields=("text",))
    assert not (await set_up(engine, spec)).requests
    assert (await status(engine, index_name)).record is not None
    with pytest.raises(FingerprintMismatch, match="sidecar migrate"):
        await set_up(engine, IndexSpec(index_name, pick_encoder(models, NEW), source_fields=("text",)))


async def test_the_new_model_can_be_tried_before_the_swap(
    engine: Engine, both: AsyncSidecarClient, index_name: str
) -> None:
    held = documents(30)
    await prepare_old(engine, both, index_name, held)
    judge = await Judge.of(both, {name: str(source["text"]) for name, source in held.items()}, QUERIES)
    await rolled_out(engine, both, index_name)
    candidate = pick_encoder(await both.models(), NEW)
    trying = AsyncSearcher(engine, both, SPARSE, index=index_name, fingerprint=candidate.fingerprint)
    for query in QUERIES:
        result = await trying.search(query)
        assert judge.model_of(query, result) == NEW
        assert all(set(hit.source) == {"text", "number"} for hit in result.hits), "no vector, no hash, of neither model"
    with pytest.raises(FingerprintMismatch, match="keeps no vectors"):
        await AsyncSearcher(engine, both, SPARSE, index=index_name, fingerprint="ee" * 32).search(QUERIES[0])
