"""`sidecar migrate swap` and `rollback` between two indices: all aliases change places by one request.

Right before it, the index that is written to refuses writes (403, `cluster_block_exception`), and the last of them are
copied: at the moment of the switch both indices hold the same documents. The refusal is bounded in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.migrate.counts import count_field
from sidecar.cluster.migrate.limits import aliases_are_conditional
from sidecar.cluster.migrate.state import enter, now
from sidecar.cluster.mirror.copying import CopyRun
from sidecar.cluster.mirror.pair import Pair, Side, require_pair
from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.reconcile.frame import Progress
from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.cluster.second_index.inherited import INGEST_SETTINGS, NO_PIPELINE
from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.errors import EngineUnavailable, InvalidInput

__all__ = ["BLOCK_SECONDS", "clear_up", "roll_indices_back", "swap_indices"]

BLOCK_SECONDS = 30.0
"""How long writes may be refused for a switch, by default; then it is given up, and they are let through again."""

NEARLY_DONE = 200
"""So few changes in one look at the index, and the rest can be copied while writes are refused."""

LOOKS = 10
WRITE_BLOCK = "index.blocks.write"


async def swap_indices(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    dead_letters: DeadLetters,
    options: ReconcileOptions | None = None,
    *,
    force: bool = False,
    allow_missing: int = 0,
    block_seconds: float = BLOCK_SECONDS,
    progress: Progress | None = None,
) -> Pair:
    """Let the alias stand for the new index; nothing but leftovers is done where it does already.

    Raises InvalidInput where the new index was not verified, or more than `allow_missing` of its documents lack a
    vector (unless `force`); EngineUnavailable where the last changes could not be copied in `block_seconds`: then
    nothing has changed, and it can be repeated.
    """
    pair = await require_pair(engine, index)
    if pair.swapped:
        return await clear_up(engine, index)
    if not force and pair.record.verified is None:
        raise InvalidInput(
            f"{pair.record.second} was not verified: `sidecar migrate verify --index {pair.record.alias}` first, or"
            " --force.",
            field="index",
        )
    allowed = None if force else allow_missing
    run = CopyRun(engine, sidecar, index, dead_letters, options or ReconcileOptions(), progress=progress)
    return await _switch(engine, index, run, allowed, block_seconds)


async def roll_indices_back(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    index: str,
    dead_letters: DeadLetters,
    options: ReconcileOptions | None = None,
    *,
    block_seconds: float = BLOCK_SECONDS,
    progress: Progress | None = None,
) -> Pair:
    """Let the alias stand for the old index again, with all that was written since; otherwise as `swap_indices`."""
    pair = await require_pair(engine, index)
    if not pair.swapped:
        return await clear_up(engine, index)
    run = CopyRun(engine, sidecar, index, dead_letters, options or ReconcileOptions(), progress=progress)
    return await _switch(engine, index, run, None, block_seconds)


async def clear_up(engine: Engine, index: str) -> Pair:
    """Undo what a switch that was cut short left behind: writes are let through, ingest pipelines lie where they must.

    Changes nothing where nothing was left.
    """
    pair = await require_pair(engine, index)
    if pair.record.switching is None:
        return pair
    serving, other = pair.serving, pair.other
    await _put_settings(engine, other.name, dict.fromkeys(INGEST_SETTINGS))
    for side in (serving, other):
        await _put_settings(engine, side.name, {WRITE_BLOCK: None})
    record = pair.record.model_copy(update={"switching": None})
    await enter(engine, record.second, record.to_mapping())
    return await require_pair(engine, index)


async def _switch(engine: Engine, index: str, run: CopyRun, allowed: int | None, seconds: float) -> Pair:
    # What another switch left behind must not be in the way of copying.
    await clear_up(engine, index)
    await _catch_up(engine, index, run, allowed)
    pair = await require_pair(engine, index)
    source, target = pair.serving, pair.other
    await _require_unblocked(engine, source)
    begun = pair.record.model_copy(update={"switching": datetime.now(UTC).isoformat()})
    await enter(engine, begun.second, begun.to_mapping())
    try:
        async with asyncio.timeout(seconds):
            await _block(engine, source.name)
            await _last_look(engine, run, source, target)
            await _move(engine, begun, source, target)
    except TimeoutError:
        raise EngineUnavailable(
            f"What was written to {source.name} could not be copied in {seconds:g} s, in which writes were refused."
            " Nothing has changed: try again when less is written or deleted, or with a longer --block-seconds."
        ) from None
    finally:
        # Also where this is cancelled: applications wait for their writes.
        await asyncio.shield(clear_up(engine, index))
    return await require_pair(engine, index)


async def _catch_up(engine: Engine, index: str, run: CopyRun, allowed: int | None) -> None:
    """Copy until little is left to do, with writes going on."""
    for _ in range(LOOKS):
        before = run.summary.found
        await run.look()
        if run.summary.found - before <= NEARLY_DONE:
            break
    if allowed is None:
        return
    copy = (await require_pair(engine, index)).other
    await engine.refresh(copy.name)
    missing, failed = (await count_field(engine, copy.name, copy.meta)).missing, run.summary.failed
    if max(missing, failed) > allowed:
        raise InvalidInput(
            f"{missing} documents of {copy.name} have no vector of {copy.meta.bundle}, and {failed} could not be copied"
            " or encoded: see the dead letters, or allow for them by --allow-missing.",
            field="index",
        )


async def _last_look(engine: Engine, run: CopyRun, source: Side, target: Side) -> None:
    await run.look(exact=True)
    await engine.refresh(f"{source.name},{target.name}")
    originals, copies = await engine.count(source.name), await engine.count(target.name)
    if run.summary.left or originals != copies:
        failed = run.summary.failed
        refused = f" {failed} are in the dead letters: mend what {target.name} refuses of them." if failed else ""
        raise EngineUnavailable(
            f"{source.name} has {originals} documents and {target.name} {copies}, with {run.summary.left} left to copy:"
            f" nothing was switched.{refused} Does anybody write to an index by its own name, past the alias? Run it"
            " again."
        )


async def _move(engine: Engine, begun: SecondIndexRecord, source: Side, target: Side) -> None:
    """Let every alias of `source` stand for `target`, with its filter and routing: all of them, or none."""
    settings = await _settings(engine, source)
    pipelines = {key: settings[key] for key in INGEST_SETTINGS if settings.get(key, NO_PIPELINE) != NO_PIPELINE}
    if pipelines:
        await _put_settings(engine, target.name, pipelines)
    # Without it, older clusters add the alias even where somebody took it away since it was looked for, just below.
    only_if_there: JsonObject = {"must_exist": True} if aliases_are_conditional(engine.info) else {}
    actions: list[JsonValue] = []
    for alias, definition in source.aliases.items():
        actions.append({"remove": {"index": source.name, "alias": alias, **only_if_there}})
        actions.append({"add": {"index": target.name, "alias": alias, **definition}})
    switched = begun.model_copy(update={"switched": now()})
    await enter(engine, begun.second, switched.to_mapping())
    await _require_ours(engine, switched, source)
    await engine.send("POST", "/_aliases", {"actions": actions})
    engine.forget(begun.alias)


async def _require_ours(engine: Engine, begun: SecondIndexRecord, source: Side) -> None:
    """Make sure that nobody else switches, or let writes through, at the same time."""
    pair = await require_pair(engine, begun.second)
    if pair.record != begun or WRITE_BLOCK not in await _blocks(engine, source):
        raise EngineUnavailable(f"Somebody else switches {begun.alias} at the same time: see `sidecar migrate status`.")


async def _require_unblocked(engine: Engine, source: Side) -> None:
    blocks = await _blocks(engine, source)
    if blocks:
        raise InvalidInput(f"{source.name} has {', '.join(blocks)}: take that out first, then repeat.", field="index")


async def _blocks(engine: Engine, side: Side) -> list[str]:
    return [
        key
        for key, value in (await _settings(engine, side)).items()
        if key.startswith("index.blocks.") and str(value).lower() == "true"
    ]


async def _settings(engine: Engine, side: Side) -> JsonObject:
    answer = await engine.read("GET", path_of(side.name, "_settings"), {"flat_settings": "true"})
    return as_object(as_object(answer.get(side.name)).get("settings"))


async def _block(engine: Engine, index: str) -> None:
    """Refuse writes; returns when those that were under way are done."""
    answer = await engine.send("PUT", path_of(index, "_block", "write"))
    if answer.get("shards_acknowledged") is not True:
        raise EngineUnavailable(f"Not every shard of {index} has stopped writing: run it again.")


async def _put_settings(engine: Engine, index: str, settings: Mapping[str, JsonValue]) -> None:
    body: JsonObject = dict(settings)
    await engine.send("PUT", path_of(index, "_settings"), body)
