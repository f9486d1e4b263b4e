"""`sidecar migrate swap` and `rollback`: which of two models is searched, changed by one request.

The index's record, its document frequencies and the migration's own record lie in one `_meta`, which a cluster replaces
as a whole: whoever reads it sees one model with its field, its hash and its table, or the other.
"""

from __future__ import annotations

from sidecar.cluster.migrate.state import Migrating, enter, now, require_open
from sidecar.cluster.reconcile.finding import incomplete_query
from sidecar.domain import JsonObject
from sidecar.engine import CollectionFrequencies, Engine, IndexMeta, MigrationRecord, MigrationState, dialect_named
from sidecar.engine.frequencies import FREQUENCIES_KEY
from sidecar.errors import InvalidInput

__all__ = ["rollback", "swap"]


async def swap(engine: Engine, index: str, *, force: bool = False, allow_missing: int = 0) -> MigrationRecord:
    """Let searches use the candidate from now on; nothing is done where they do already.

    Searchers that run take it within half a minute, or at once where the old model is no longer served; each of their
    answers comes from one model. Raises InvalidInput where the candidate was not verified, or where more than
    `allow_missing` documents lack its vector (unless `force`).
    """
    found, record = await require_open(engine, index, MigrationState.FILLING, MigrationState.SWAPPED)
    if record.state is MigrationState.SWAPPED:
        return record
    if not force:
        if record.verified is None:
            raise InvalidInput(
                f"{record.candidate.bundle} was not verified on {found.index}: `sidecar migrate verify --index {index}`"
                " first, or --force.",
                field="index",
            )
        await _require_complete(engine, found.index, record.candidate, allow_missing)
    return await _switch(engine, found, record, MigrationState.SWAPPED)


async def rollback(engine: Engine, index: str) -> MigrationRecord:
    """Let searches use the previous model again; nothing is done where they do already.

    Raises InvalidInput where its vectors are being taken out, or no migration is open.
    """
    found, record = await require_open(engine, index, MigrationState.SWAPPED, MigrationState.FILLING)
    if record.state is MigrationState.FILLING:
        return record
    return await _switch(engine, found, record, MigrationState.FILLING)


async def _require_complete(engine: Engine, index: str, candidate: IndexMeta, allowed: int) -> None:
    await engine.refresh(index)
    missing = await engine.count(index, incomplete_query(candidate, dialect_named(candidate.dialect)))
    if missing > allowed:
        raise InvalidInput(
            f"{missing} documents of {index} have no vector of {candidate.bundle}: run `sidecar reconcile --index"
            f" {index}`, or allow for documents that are written just now by --allow-missing.",
            field="index",
        )


async def _switch(engine: Engine, found: Migrating, record: MigrationRecord, state: MigrationState) -> MigrationRecord:
    table = CollectionFrequencies.parse(found.index, found.entries.get(FREQUENCIES_KEY))
    switched = record.model_copy(update={"state": state, "switched": now(), "frequencies": table})
    changes: JsonObject = {**record.other.to_mapping(), **switched.to_mapping()}
    if record.frequencies is None:
        # A table of the other model is as good as none: searches use the bundle's own weights.
        await enter(engine, found.index, changes, forget=(FREQUENCIES_KEY,))
    else:
        await enter(engine, found.index, {**changes, **record.frequencies.to_mapping()})
    engine.forget(found.index)
    return switched
