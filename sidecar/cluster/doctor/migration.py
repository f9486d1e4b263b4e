"""What the doctor says about a change of the model that is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.cluster.doctor.findings import Finding, Severity
from sidecar.cluster.migrate.counts import count_field
from sidecar.cluster.mirror import find_pair
from sidecar.domain import ModelInfo
from sidecar.engine import Engine, IndexMeta, MigrationRecord, MigrationState

__all__ = ["OpenMigration", "read_migration", "told"]


@dataclass(frozen=True, slots=True)
class OpenMigration:
    """A migration: the model that is not searched, where its vectors are (`place`), and how far they are.

    `other` None: the second index is not made yet, or deleted already. `missing` of `documents` lack a vector. Times
    are ISO 8601, UTC; `switching` is set while writes are refused for a switch.
    """

    index: str
    place: str
    state: MigrationState
    other: IndexMeta | None = None
    documents: int = 0
    missing: int = 0
    begun: str | None = None
    verified: str | None = None
    switching: str | None = None
    second_index: bool = False


async def read_migration(engine: Engine, index: str, meta: object) -> OpenMigration | None:
    """Return the migration that an index takes part in; None where none is open. `meta` is its mapping's `_meta`."""
    record = MigrationRecord.parse(index, meta)
    if record is not None:
        counts = await count_field(engine, index, record.other)
        return OpenMigration(
            index,
            f"in the field {record.other.vector_field}",
            record.state,
            record.other,
            counts.documents,
            counts.missing,
            record.begun,
            record.verified,
        )
    pair = await find_pair(engine, index)
    if pair is None:
        return None
    known, swapped = pair.record, pair.swapped
    state = MigrationState.SWAPPED if swapped else MigrationState.FILLING
    if pair.first is None or pair.second is None:
        gone = known.first if pair.first is None else known.second
        return OpenMigration(known.alias, f"in the index {gone}", state, begun=known.begun, second_index=True)
    other = pair.other
    counts = await count_field(engine, other.name, other.meta)
    return OpenMigration(
        known.alias,
        f"in {other.name}, which is kept as a copy of {pair.serving.name}",
        state,
        other.meta,
        counts.documents,
        counts.missing,
        known.begun,
        known.verified,
        known.switching,
        second_index=True,
    )


def told(found: OpenMigration, served: tuple[ModelInfo, ...] | None) -> Iterator[Finding]:
    """Say which migration is open, since when, how far it is, and what comes next."""
    since = "" if found.begun is None else f", since {found.begun}"
    if found.switching is not None:
        yield Finding(
            "migration",
            Severity.ERROR,
            f"{found.index} has been switched from one index to another since {found.switching}.",
            "Writes are refused for that moment; if nobody is at it any more, they are refused until somebody is.",
            f"Repeat `sidecar migrate swap --index {found.index}`, or `rollback`: either lets writes through.",
        )
        return
    other = found.other
    if other is None:
        step = "drop" if found.state is MigrationState.SWAPPED else "start"
        yield Finding(
            "migration",
            Severity.WARNING,
            f"A migration of {found.index} is open{since}, and has nothing {found.place}.",
            "A command was cut short: there is nothing to roll back to, or to swap in.",
            f"Repeat `sidecar migrate {step}`" + ("." if step == "drop" else ", or `abort` it."),
        )
        return
    kept = found.state in (MigrationState.FILLING, MigrationState.SWAPPED)
    if kept and served is not None and other.fingerprint not in {model.fingerprint for model in served}:
        yield Finding(
            "migration",
            Severity.ERROR,
            f"{found.index} is being migrated{since}, and the sidecar does not serve the other model, {other.bundle}"
            f" ({other.fingerprint[:16]}), with vectors {found.place}.",
            "What is written meanwhile gets no vector of it: a swap or a roll-back would lose those documents.",
            f"Serve both models until the end: `sidecar serve --models …,{other.bundle}`.",
        )
        return
    yield Finding(
        "migration",
        Severity.NOTE if kept else Severity.WARNING,
        f"{found.index} is being migrated ({found.state}){since}: {other.bundle} has vectors {found.place}, for"
        f" {found.documents - found.missing} of {found.documents} documents.",
        "Both models are kept up to date until the end, which costs twice the space and encoding."
        if kept
        else "One model's vectors are being taken out of every document; that was cut short, or is under way.",
        _next_step(found),
    )


def _next_step(found: OpenMigration) -> str:
    command = f"sidecar migrate {{}} --index {found.index}"
    match found.state:
        case MigrationState.DROPPING:
            return f"Repeat `{command.format('drop')}` until it is done."
        case MigrationState.ABORTING:
            return f"Repeat `{command.format('abort')}` until it is done."
        case MigrationState.SWAPPED:
            return f"`{command.format('drop')}` ends it, `rollback` goes back."
        case MigrationState.FILLING:
            if found.missing:
                return f"Repeat `sidecar migrate start`, or run `sidecar reconcile --index {found.index}`."
            step = "verify" if found.verified is None else "swap"
            return f"`{command.format(step)}` comes next; `abort` gives it up."
