"""`sidecar migrate drop` and `abort`: the end of a migration, with one model's vectors taken out of every document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.cluster.migrate.state import enter, require_open
from sidecar.cluster.removal import remove_fields
from sidecar.engine import MIGRATION_KEY, Engine, IndexMeta, MigrationState, dialect_named

__all__ = ["SETTLE_SECONDS", "Removed", "abort", "drop", "seconds_to_rest"]

SETTLE_SECONDS = 60.0
"""How long after a swap or a roll-back searches may still use the other model: searchers read the record of an index
every 30 seconds, and a search takes some time."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Whose vectors were taken out, of how many documents; `fields` are left in the mapping, without a value."""

    index: str
    model: IndexMeta
    documents: int
    fields: tuple[str, ...]


async def drop(
    engine: Engine,
    index: str,
    *,
    settle: float = SETTLE_SECONDS,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Removed:
    """Take the previous model's vectors out and forget it: from the first moment on there is no way back.

    Waits until the swap is `settle` seconds old. Cut short, it is repeated. Raises InvalidInput where the candidate is
    not searched.
    """
    return await _remove(engine, index, MigrationState.SWAPPED, MigrationState.DROPPING, settle, rate, progress)


async def abort(
    engine: Engine,
    index: str,
    *,
    settle: float = SETTLE_SECONDS,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Removed:
    """Give the candidate up: take its vectors out and forget it. Otherwise as `drop`.

    Raises InvalidInput where the candidate is searched: roll back first.
    """
    return await _remove(engine, index, MigrationState.FILLING, MigrationState.ABORTING, settle, rate, progress)


async def _remove(
    engine: Engine,
    index: str,
    before: MigrationState,
    during: MigrationState,
    settle: float,
    rate: float | None,
    progress: Callable[[int], None] | None,
) -> Removed:
    found, record = await require_open(engine, index, before, during)
    await asyncio.sleep(seconds_to_rest(record.switched, settle))
    # Somebody may have rolled back while this waited.
    found, record = await require_open(engine, index, before, during)
    other = record.other
    if record.state is before:
        leaving = record.model_copy(update={"state": during, "frequencies": None})
        await enter(engine, found.index, leaving.to_mapping())
    vector = dialect_named(other.dialect).written_fields(other.vector_field)
    fields = (*vector, other.hash_field)
    documents = await remove_fields(
        engine, found.index, fields, found_by=other.hash_field, rate=rate, progress=progress
    )
    await enter(engine, found.index, {}, forget=(MIGRATION_KEY,))
    engine.forget(found.index)
    return Removed(found.index, other, documents, fields)


def seconds_to_rest(switched: str | None, settle: float) -> float:
    """Return the seconds until the last swap is old enough; never more than `settle`, whatever clocks say."""
    if switched is None:
        return 0.0
    age = (datetime.now(UTC) - datetime.fromisoformat(switched)).total_seconds()
    return min(settle, max(0.0, settle - age))
