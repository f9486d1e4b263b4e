"""How far a field is filled: counted by queries, without reading a text."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.cluster.documents import text_hash
from sidecar.cluster.migrate.state import Migrating, look
from sidecar.cluster.reconcile.finding import incomplete_query
from sidecar.domain import JsonObject
from sidecar.engine import Engine, IndexMeta, MigrationRecord, dialect_of

__all__ = ["FieldCounts", "MigrationStatus", "count_field", "status"]


@dataclass(frozen=True, slots=True)
class FieldCounts:
    """Of the `documents` of an index, those with a vector of one model, those known to have no text, and the rest."""

    documents: int
    with_vector: int
    without_text: int
    missing: int


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """What is searched, and how far both models are; `record` and `other` None where no migration is open."""

    index: str
    active: IndexMeta
    counts: FieldCounts
    record: MigrationRecord | None = None
    other: FieldCounts | None = None


async def status(engine: Engine, index: str) -> MigrationStatus:
    """Return how far a migration is; raise as `look`."""
    found: Migrating = await look(engine, index)
    await engine.refresh(found.index)
    counts = await count_field(engine, found.index, found.active)
    if found.record is None:
        return MigrationStatus(found.index, found.active, counts)
    other = await count_field(engine, found.index, found.record.other)
    return MigrationStatus(found.index, found.active, counts, found.record, other)


async def count_field(engine: Engine, index: str, meta: IndexMeta) -> FieldCounts:
    """Count what is refreshed."""
    dialect = dialect_of(meta)
    without_text: JsonObject = {"term": {meta.hash_field: text_hash("")}}
    return FieldCounts(
        documents=await engine.count(index),
        with_vector=await engine.count(index, dialect.presence_filter(meta.vector_field, meta.fingerprint)),
        without_text=await engine.count(index, without_text),
        missing=await engine.count(index, incomplete_query(meta, dialect)),
    )
