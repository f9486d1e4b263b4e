"""`sidecar migrate drop` and `abort` of a migration into a second index: one of both indices is deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sidecar.cluster.migrate.removing import SETTLE_SECONDS, seconds_to_rest
from sidecar.cluster.migrate.state import enter
from sidecar.cluster.mirror.pair import Pair, Side, require_pair
from sidecar.cluster.mirror.record import SECOND_INDEX_KEY
from sidecar.cluster.record import SetupRecord
from sidecar.cluster.second_index.switching import clear_up
from sidecar.engine import Engine, IndexMeta
from sidecar.engine.transport import path_of
from sidecar.errors import InvalidInput

__all__ = ["IndexRemoved", "abort_second_index", "drop_first_index"]


@dataclass(frozen=True, slots=True)
class IndexRemoved:
    """The index that was deleted, with the model of its vectors (None: there was none to delete), and what is left."""

    alias: str
    index: str
    model: IndexMeta | None
    kept: str


async def drop_first_index(engine: Engine, index: str, *, settle: float = SETTLE_SECONDS) -> IndexRemoved:
    """Delete the old index and forget it: there is no way back. Waits until the swap is `settle` seconds old.

    Cut short, it is repeated. Raises InvalidInput where the alias stands for the old index.
    """
    pair = await _when_settled(engine, index, settle)
    if not pair.swapped:
        raise InvalidInput(
            f"{pair.record.alias} stands for {pair.record.first}: `sidecar migrate swap` comes first, `abort` gives"
            f" {pair.record.second} up.",
            field="index",
        )
    return await _removed(engine, pair, pair.first, pair.serving)


async def abort_second_index(engine: Engine, index: str, *, settle: float = SETTLE_SECONDS) -> IndexRemoved:
    """Delete the new index and forget it; otherwise as `drop_first_index`.

    Raises InvalidInput where the alias stands for the new index: roll back first.
    """
    pair = await _when_settled(engine, index, settle)
    if pair.swapped:
        raise InvalidInput(
            f"{pair.record.alias} stands for {pair.record.second}: `sidecar migrate rollback` comes first, `drop`"
            f" deletes {pair.record.first}.",
            field="index",
        )
    return await _removed(engine, pair, pair.second, pair.serving)


async def _when_settled(engine: Engine, index: str, settle: float) -> Pair:
    pair = await require_pair(engine, index)
    await asyncio.sleep(seconds_to_rest(pair.record.switched, settle))
    # Somebody may have switched while this waited.
    pair = await require_pair(engine, index)
    if pair.record.switching is None or pair.first is None or pair.second is None:
        return pair
    return await clear_up(engine, index)


async def _removed(engine: Engine, pair: Pair, gone: Side | None, kept: Side) -> IndexRemoved:
    record = pair.record
    if gone is not None:
        if gone.aliases:
            raise InvalidInput(
                f"{gone.name} has the alias {', '.join(sorted(gone.aliases))}: somebody still uses it. Take that away"
                " first.",
                field="index",
            )
        await engine.delete_index(gone.name, missing_ok=True)
        await _remove_beside(engine, gone, kept)
    name = record.second if kept.name == record.first else record.first
    await enter(engine, kept.name, {}, forget=(SECOND_INDEX_KEY,))
    engine.forget(record.alias)
    return IndexRemoved(record.alias, name, None if gone is None else gone.meta, kept.name)


async def _remove_beside(engine: Engine, gone: Side, kept: Side) -> None:
    """Delete the search pipeline that setup made for an index, unless the other one searches by it."""
    setup = SetupRecord.parse(gone.name, gone.entries)
    if setup is None or setup.search_pipeline is None:
        return
    path = path_of("_search", "pipeline", setup.search_pipeline)
    answer = await engine.read("GET", path_of(kept.name, "_settings"), {"flat_settings": "true"})
    if setup.search_pipeline not in str(answer) and await engine.find(path):
        await engine.send("DELETE", path)
