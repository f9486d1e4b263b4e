"""`sidecar migrate start`: the fields of the new model, and the record that says what they are for."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.cluster.fields import missing_properties
from sidecar.cluster.migrate.limits import require_fillable
from sidecar.cluster.migrate.state import Migrating, look, now
from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.record import SetupRecord
from sidecar.cluster.requests import Request, send_all
from sidecar.cluster.spec import IndexSpec
from sidecar.cluster.unstored import require_stored
from sidecar.domain import JsonValue, ModelInfo, as_object
from sidecar.engine import Engine, IndexMeta, MigrationRecord, MigrationState, dialect_named
from sidecar.engine.transport import path_of
from sidecar.errors import FingerprintMismatch, InvalidInput

__all__ = ["Candidate", "StartPlan", "plan_start", "start"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that is rolled out, and its fields; None: names made from its fingerprint.

    `largest_weight` is the encoder's, for dialects that quantise.
    """

    model: ModelInfo
    vector_field: str | None = None
    hash_field: str | None = None
    largest_weight: float | None = None


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What has to be sent, and what the index will say. No requests: this migration is open already.

    `notes`: what the operator has to know of it.
    """

    index: str
    record: MigrationRecord
    requests: tuple[Request, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What the migration is, in a sentence."""
        candidate = self.record.candidate
        return (
            f"{self.index}: {self.record.previous.bundle} -> {candidate.bundle}, in the field {candidate.vector_field}."
        )

    async def apply(self, engine: Engine) -> None:
        """Send the requests: one, so that fields and record come together or not at all."""
        await send_all(engine, self.requests)
        engine.forget(self.index)


async def start(engine: Engine, index: str, candidate: Candidate) -> StartPlan:
    """Open a migration; a second time changes nothing. Returns what was done."""
    plan = await plan_start(engine, index, candidate)
    await plan.apply(engine)
    return plan


async def plan_start(engine: Engine, index: str, candidate: Candidate) -> StartPlan:
    """Find out what has to be sent; sends nothing that changes anything.

    Source fields, lexical field and dialect stay those of the index. Raises InvalidInput where another migration is
    open, the model is the index's own, or the dialect does not allow for it; EngineRejected where a field of that name
    has another type.
    """
    found = await look(engine, index)
    model = candidate.model
    if found.record is not None:
        _require_same(found, found.record, candidate)
        return StartPlan(found.index, found.record)
    if model.fingerprint == found.active.fingerprint:
        raise InvalidInput(f"{found.index} is encoded by {model.name} already: name another --model.", field="model")
    second = SecondIndexRecord.parse(found.index, found.entries)
    if second is not None:
        raise InvalidInput(
            f"{second.alias} is being migrated from {second.first} into {second.second}: end that by `sidecar migrate"
            " drop` or `abort` first.",
            field="index",
        )
    setup = SetupRecord.parse(found.index, found.entries) or SetupRecord()
    if setup.connector is not None:
        raise InvalidInput(
            f"The cluster itself encodes for {found.index}, by a connector to one model: it can't write two. Set a new"
            " index up for the new model, or `sidecar teardown` this one first.",
            field="index",
        )
    if found.active.passages is not None:
        raise InvalidInput(
            f"{found.index} has passages, and a second model's are not kept beside them: give the new model an index of"
            " its own, by `sidecar migrate start --into`.",
            field="index",
        )
    meta = _meta(found, candidate)
    dialect = dialect_named(meta.dialect)
    unsuitable = dialect.unsuitable_because(model.vocabulary_size)
    if unsuitable is not None:
        raise InvalidInput(unsuitable, field="model")
    require_stored(found.index, found.mapping, dialect.written_fields(meta.vector_field))
    properties = as_object(found.mapping.get("properties"))
    missing = missing_properties(found.index, _spec(found, candidate, meta), dialect, properties)
    await require_fillable(engine, found.index, missing.get(meta.vector_field, properties.get(meta.vector_field)))
    record = MigrationRecord(candidate=meta, previous=found.active, begun=now())
    entered: dict[str, JsonValue] = {**found.entries, **record.to_mapping()}
    if not setup.created_index and SetupRecord.parse(found.index, found.entries) is not None:
        added = tuple(dict.fromkeys([*setup.added_fields, *missing]))
        entered |= setup.model_copy(update={"added_fields": added}).to_mapping()
    request = Request("PUT", path_of(found.index, "_mapping"), {"_meta": entered, "properties": missing})
    notes = (
        f"Until the end of the migration, keep a sidecar that serves both {found.active.bundle} and the new model.",
        *setup.template_notes(found.active.bundle),
    )
    return StartPlan(found.index, record, (request,), notes)


def _meta(found: Migrating, candidate: Candidate) -> IndexMeta:
    vector_field = candidate.vector_field or f"splade_{candidate.model.fingerprint[:8]}"
    spec = IndexSpec(
        found.index,
        candidate.model,
        source_fields=found.active.source_fields,
        lexical_field=found.active.lexical_field,
        vector_field=vector_field,
        hash_field=candidate.hash_field or f"{vector_field}_hash",
    )
    dialect = dialect_named(found.active.dialect)
    theirs = {*dialect.written_fields(found.active.vector_field), found.active.hash_field}
    both = theirs & {*dialect.written_fields(spec.vector_field), spec.hash_field}
    if both:
        raise InvalidInput(f"{', '.join(sorted(both))} belongs to {found.active.bundle}.", field="vector_field")
    return spec.meta(found.active.dialect)


def _spec(found: Migrating, candidate: Candidate, meta: IndexMeta) -> IndexSpec:
    return IndexSpec(
        found.index,
        candidate.model,
        source_fields=meta.source_fields,
        lexical_field=meta.lexical_field,
        vector_field=meta.vector_field,
        hash_field=meta.hash_field,
        largest_weight=candidate.largest_weight,
    )


def _require_same(found: Migrating, record: MigrationRecord, candidate: Candidate) -> None:
    wanted = record.candidate
    if candidate.model.fingerprint != wanted.fingerprint:
        raise InvalidInput(
            f"{found.index} is being migrated to {wanted.bundle} ({wanted.fingerprint[:16]}): end that by `sidecar"
            " migrate drop` or `abort` first.",
            field="model",
        )
    if record.state is not MigrationState.FILLING:
        raise InvalidInput(
            f"{found.index}: {wanted.bundle} was rolled out already ({record.state}): see `sidecar migrate status`.",
            field="index",
        )
    if candidate.vector_field not in (None, wanted.vector_field) or candidate.hash_field not in (
        None,
        wanted.hash_field,
    ):
        raise InvalidInput(f"This migration was begun with the field {wanted.vector_field}.", field="vector_field")
    if found.active.fingerprint != record.previous.fingerprint:
        raise FingerprintMismatch(f"{found.index} was set up anew while it was migrated: `sidecar migrate abort` it.")
