"""What an index says about a change of its model: `_meta.splade_sidecar_migration` of its mapping."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import ClassVar, Literal

from sidecar.domain import JsonObject
from sidecar.engine.frequencies import FREQUENCIES_KEY, CollectionFrequencies
from sidecar.engine.meta import META_KEY, IndexMeta
from sidecar.engine.passage_field import own_fields
from sidecar.engine.record import MetaRecord
from sidecar.errors import FingerprintMismatch, IndexNotPrepared, UnsupportedEngine

__all__ = ["MIGRATION_KEY", "MigrationRecord", "MigrationState", "hidden_fields", "record_of"]

MIGRATION_KEY = "splade_sidecar_migration"
"""Key of the record under a mapping's `_meta`; absent where no migration is open."""


class MigrationState(StrEnum):
    """How far a migration is. Which model is searched is said by the index's own record, and only there."""

    FILLING = "filling"
    """The previous model is searched; documents get the candidate's vectors as well."""
    SWAPPED = "swapped"
    """The candidate is searched; the previous model's vectors are kept, for a roll-back."""
    DROPPING = "dropping"
    """The candidate is searched; the previous model's vectors are being taken out. There is no way back."""
    ABORTING = "aborting"
    """The previous model is searched; the candidate's vectors are being taken out."""


class MigrationRecord(MetaRecord):
    """An open migration of one index from one model to another.

    `frequencies` are those of the model that is not searched. `begun`, `verified` and `switched` are times (ISO 8601,
    UTC): of the start, of the last verification that passed, of the last swap or roll-back.
    """

    KEY: ClassVar[str] = MIGRATION_KEY
    ABOUT: ClassVar[str] = "its migration"

    schema_version: Literal[1] = 1
    state: MigrationState = MigrationState.FILLING
    candidate: IndexMeta
    previous: IndexMeta
    frequencies: CollectionFrequencies | None = None
    begun: str | None = None
    verified: str | None = None
    switched: str | None = None

    @property
    def other(self) -> IndexMeta:
        """The record of the model that is not searched."""
        return self.candidate if self.state in (MigrationState.FILLING, MigrationState.ABORTING) else self.previous

    @property
    def kept(self) -> IndexMeta | None:
        """The record of the other model while its vectors are kept up to date; None while they are taken out."""
        return self.other if self.state in (MigrationState.FILLING, MigrationState.SWAPPED) else None


def record_of(
    index: str, mapping: JsonObject, fingerprint: str | None = None
) -> tuple[IndexMeta, CollectionFrequencies | None]:
    """Return an index's record with its document frequencies, from its mapping: the searched model's, or another's.

    `fingerprint` names a model whose vectors the index keeps while a migration is open. Raises IndexNotPrepared, and
    FingerprintMismatch where the index keeps no vectors of that model.
    """
    meta = mapping.get("_meta")
    entries: Mapping[str, object] = meta if isinstance(meta, Mapping) else {}
    active = IndexMeta.parse(index, entries.get(META_KEY))
    if fingerprint is None or fingerprint == active.fingerprint:
        return active, _of_model(CollectionFrequencies.parse(index, entries.get(FREQUENCIES_KEY)), active)
    migration = MigrationRecord.parse(index, entries)
    other = None if migration is None else migration.kept
    if migration is None or other is None or other.fingerprint != fingerprint:
        raise FingerprintMismatch(
            f"Index {index} keeps no vectors of the model {fingerprint[:16]}: `sidecar migrate status --index {index}`"
            " shows which ones it keeps."
        )
    return other, _of_model(migration.frequencies, other)


def hidden_fields(index: str, mapping: JsonObject) -> tuple[str, ...]:
    """Return the fields that no answer to a search carries: all of ours, of both models while there are two."""
    meta = mapping.get("_meta")
    entries: Mapping[str, object] = meta if isinstance(meta, Mapping) else {}
    hidden: list[str] = []
    with suppress(IndexNotPrepared, UnsupportedEngine):
        hidden += own_fields(IndexMeta.parse(index, entries.get(META_KEY)))
        migration = MigrationRecord.parse(index, entries)
        if migration is not None:
            hidden += [*own_fields(migration.candidate), *own_fields(migration.previous)]
    return tuple(dict.fromkeys(hidden))


def _of_model(table: CollectionFrequencies | None, meta: IndexMeta) -> CollectionFrequencies | None:
    return table if table is not None and table.fingerprint == meta.fingerprint else None
