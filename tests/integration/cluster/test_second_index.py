"""Rolling another model out in an index of its own on a real node: every step, repeated, undone, in the wrong order."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, pick_encoder
from sidecar.cluster.migrate import Candidate, VerifyOptions, start
from sidecar.cluster.mirror import SECOND_INDEX_KEY
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.cluster.second_index import (
    CopyRun,
    abort_second_index,
    drop_first_index,
    find_pair,
    mark_second_index_verified,
    plan_second_index,
    second_index_status,
    start_second_index,
    swap_indices,
    switching,
    verify_second_index,
)
from sidecar.domain import JsonObject, JsonValue
from sidecar.engine import BulkAction, BulkPolicy, Engine
from sidecar.errors import DocumentsNotWritten, EngineUnavailable, InvalidInput
from tests.support.migration import NEW, OLD, documents, prepare_old, put, text_of
from tests.support.second_index import (
    Names,
    begin_second,
    copy,
    prepare_alias,
    reconcile,
    require_copy,
    roll_back,
    rolled_out_second,
    searched_model,
    swap_in,
    verified,
)

pytestmark = pytest.mark.integration


async def test_a_whole_life_with_live_writes(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    held = documents(40)
    await prepare_alias(engine, both, names, held)
    await begin_second(engine, both, names)
    assert (await copy(engine, both, names)).written == 40
    await require_copy(engine, both, names.second, NEW, held)

    async def change(turn: int) -> None:
        """As an application writes: by its own name, without vectors."""
        written: dict[str, JsonObject] = {
            f"d{turn}": {"text": text_of(turn, 2), "number": 1},
            f"new{turn}": {"text": text_of(turn, 3)},
        }
        await put(engine, names.alias, written)
        await engine.send("POST", f"/{names.alias}/_update/d{turn + 10}?refresh=true", {"doc": {"number": 1000 + turn}})
        await engine.send("DELETE", f"/{names.alias}/_doc/d{turn + 20}?refresh=true")
        held.update(written)
        held[f"d{turn + 10}"] = {**held[f"d{turn + 10}"], "number": 1000 + turn}
        del held[f"d{turn + 20}"]

    await change(1)
    summary = await reconcile(engine, both, names)
    assert (summary.gone, summary.left, summary.failed) == (1, 0, 0)
    await require_copy(engine, both, names.first, OLD, held)
    await require_copy(engine, both, names.second, NEW, held)
    await verified(engine, both, names)
    await change(2)
    assert await engine.count(names.second) == 40
    await swap_in(engine, both, names)
    await require_copy(engine, both, names.second, NEW, held)
    assert await searched_model(engine, both, names, held) == NEW
    await change(3)
    assert await engine.get(names.first, "new3") is None
    await reconcile(engine, both, names)
    await require_copy(engine, both, names.first, OLD, held)
    await change(4)
    await roll_back(engine, both, names)
    await reconcile(engine, both, names)
    assert await searched_model(engine, both, names, held) == OLD
    await change(5)
    await swap_in(engine, both, names)
    await reconcile(engine, both, names)
    assert await searched_model(engine, both, names, held) == NEW
    removed = await drop_first_index(engine, names.alias, settle=0.0)
    assert removed.index == names.first
    assert not await engine.index_exists(names.first)
    await require_copy(engine, both, names.alias, NEW, held)
    assert await find_pair(engine, names.alias) is None
    assert SECOND_INDEX_KEY not in dict((await engine.mappings(names.alias))[names.second]["_meta"])


async def test_what_can_not_be_started(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    models = await both.models()
    old, new = pick_encoder(models, OLD), pick_encoder(models, NEW)
    await prepare_alias(engine, both, names, documents(3))
    before = await engine.mappings(names.alias)
    with pytest.raises(InvalidInput, match="only an alias can be pointed"):
        await start_second_index(engine, names.first, names.second, new)
    with pytest.raises(InvalidInput, match="already"):
        await start_second_index(engine, names.alias, names.second, old)
    with pytest.raises(InvalidInput, match="exists already"):
        await start_second_index(engine, names.alias, names.first, new)
    assert await engine.mappings(names.alias) == before
    await begin_second(engine, both, names)
    again = await plan_second_index(engine, names.alias, names.second, new)
    assert again.requests == ()
    with pytest.raises(InvalidInput, match="is being migrated into"):
        await start_second_index(engine, names.alias, f"{names.second}x", new)
    with pytest.raises(InvalidInput, match="is being migrated from"):
        await start(engine, names.alias, Candidate(new))
    with pytest.raises(InvalidInput, match="was not verified"):
        await swap_in(engine, both, names)
    with pytest.raises(InvalidInput, match="`sidecar migrate swap` comes first"):
        await drop_first_index(engine, names.alias)
    await abort_second_index(engine, names.alias)
    assert await engine.mappings(names.alias) == before
    await start(engine, names.alias, Candidate(new))
    with pytest.raises(InvalidInput, match="in a second field"):
        await begin_second(engine, both, names)


async def test_an_index_becomes_an_alias_as_the_message_says(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """The requests are read from the message, and sent."""
    await prepare_old(engine, both, names.alias, documents(5))
    with pytest.raises(InvalidInput) as refused:
        await begin_second(engine, both, names)
    message = refused.value.message
    sent = re.findall(r"(PUT|POST) (/\S+?)(?: ({.*?}))?(?=[;.]? |; |\.)(?= \(|;|\.| wait)", message)
    assert [method for method, _, _ in sent] == ["PUT", "POST", "POST", "PUT"]
    for method, path, body in sent:
        await engine.send(method, path, orjson.loads(body) if body else None)
        if path.endswith(f"_clone/{names.first}"):
            health = f"/_cluster/health/{names.first}"
            await engine.read("GET", health, {"wait_for_status": "yellow", "wait_for_no_initializing_shards": "true"})
            assert await engine.count(names.first) == 5
    await rolled_out_second(engine, both, names)
    await put(engine, names.alias, {"d9": {"text": text_of(9)}})
    await swap_in(engine, both, names)
    await require_copy(engine, both, names.alias, NEW, {**documents(5), "d9": {"text": text_of(9)}})


async def test_a_verification_finds_what_is_wrong(engine: Engine, both: AsyncSidecarClient, names: Names) -> None:
    await prepare_alias(engine, both, names, documents(20))
    await rolled_out_second(engine, both, names)
    await engine.send("POST", f"/{names.alias}/_update/d3?refresh=true", {"doc": {"number": 99}})
    await engine.send("DELETE", f"/{names.alias}/_doc/d4?refresh=true")
    found = await verify_second_index(engine, both, names.alias)
    assert "1 documents of" in found.problems[0]
    assert "1 that are deleted" in found.problems[0]
    assert (await verify_second_index(engine, both, names.alias, VerifyOptions(allow_missing=2))).passed
    summary = await copy(engine, both, names)
    assert (summary.changed, summary.written, summary.gone) == (2, 1, 1)
    meta = await engine.index_meta(names.second)
    stored = await engine.get(names.second, "d5")
    assert stored is not None
    weights = stored[meta.vector_field]
    assert isinstance(weights, dict)
    heaviest = max(weights, key=lambda term: weights[term])
    wrong = {**stored, meta.vector_field: {**weights, heaviest: float(weights[heaviest]) * 1.1}}
    await put(engine, names.second, {"d5": wrong})
    found = await verify_second_index(engine, both, names.alias)
    assert found.sample.differing == ("d5",)
    with pytest.raises(InvalidInput, match="was not found right"):
        await mark_second_index_verified(engine, found)


async def test_what_can_not_be_encoded_is_copied_all_the_same(
    engine: Engine, both: AsyncSidecarClient, names: Names, tmp_path: Path
) -> None:
    held = documents(5)
    await prepare_alias(engine, both, names, held)
    await put(engine, names.alias, {"long": {"text": "lion " * 400}})
    await begin_second(engine, both, names)
    options = ReconcileOptions(max_text_bytes=1000)
    for _ in range(2):
        with DeadLetters(tmp_path / "dead.jsonl") as letters:
            run = CopyRun(engine, both, names.alias, letters, options)
            with pytest.raises(DocumentsNotWritten, match="1 documents could not be encoded"):
                await run.run()
            assert (run.summary.failed, letters.count) == (1, 1)
    assert await engine.get(names.second, "long") == {"text": "lion " * 400}
    found = await verify_second_index(engine, both, names.alias)
    assert (found.counts.documents, found.counts.missing) == (6, 1)
    allowing = VerifyOptions(allow_missing=2)
    await mark_second_index_verified(engine, await verify_second_index(engine, both, names.alias, allowing))
    with DeadLetters(None) as letters, pytest.raises(InvalidInput, match="--allow-missing"):
        await swap_indices(engine, both, names.alias, letters, options)
    with DeadLetters(None) as letters:
        await swap_indices(engine, both, names.alias, letters, options, allow_missing=1)
    assert await engine.count(names.alias) == 6


async def test_a_switch_that_takes_too_long_is_given_up(
    engine: Engine, both: AsyncSidecarClient, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes are let through again, nothing has changed, and the next attempt goes through."""
    await prepare_alias(engine, both, names, documents(5))
    await rolled_out_second(engine, both, names)

    async def late(*_: object) -> None:
        assert not (await engine.bulk([BulkAction(names.alias, "x", {"text": "x"})]))[0].written
        await asyncio.sleep(60.0)

    quick = BulkPolicy(attempts=1, held_up_seconds=0.0)
    with monkeypatch.context() as patched:
        patched.setattr(engine._bulk, "_policy", quick)
        patched.setattr(switching, "_last_look", late)
        with DeadLetters(None) as letters, pytest.raises(EngineUnavailable, match="could not be copied in 2 s"):
            await swap_indices(engine, both, names.alias, letters, block_seconds=2.0)
    found = await second_index_status(engine, names.alias)
    assert not found.pair.swapped
    assert found.pair.record.switching is None
    await put(engine, names.alias, {"x": {"text": "lion x"}})
    await swap_in(engine, both, names)
    assert (await second_index_status(engine, names.alias)).pair.swapped
    await swap_in(engine, both, names)


async def test_documents_that_the_new_index_refuses_are_named_as_what_a_switch_lacks(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    await prepare_alias(engine, both, names, documents(5))
    await rolled_out_second(engine, both, names)
    await engine.put_mapping(names.second, {"dynamic": "strict"})
    await put(engine, names.alias, {"refused": {"text": "lion", "unheard_of": 1}})
    with pytest.raises(EngineUnavailable, match=rf"nothing was switched\. 1 are in .* what {names.second} refuses"):
        await swap_in(engine, both, names, force=True)
    assert not (await second_index_status(engine, names.alias)).pair.swapped


async def test_an_index_that_somebody_else_blocked_is_left_alone(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    await prepare_alias(engine, both, names, documents(5))
    await rolled_out_second(engine, both, names)
    await engine.send("PUT", f"/{names.first}/_block/write")
    with pytest.raises(InvalidInput, match=r"index\.blocks\.write"):
        await swap_in(engine, both, names)
    answer = await engine.read("GET", f"/{names.first}/_settings", {"flat_settings": "true"})
    assert answer[names.first]["settings"]["index.blocks.write"] == "true"


async def test_an_index_that_is_still_used_is_not_deleted(
    engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    await prepare_alias(engine, both, names, documents(5))
    await rolled_out_second(engine, both, names)
    await swap_in(engine, both, names)
    added: list[JsonValue] = [{"add": {"index": names.first, "alias": f"{names.alias}-reports"}}]
    await engine.send("POST", "/_aliases", {"actions": added})
    with pytest.raises(InvalidInput, match="somebody still uses it"):
        await drop_first_index(engine, names.alias, settle=0.0)
    with pytest.raises(InvalidInput, match="rollback` comes first"):
        await abort_second_index(engine, names.alias, settle=0.0)
    assert await engine.count(names.first) == 5
