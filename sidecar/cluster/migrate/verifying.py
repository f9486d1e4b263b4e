"""`sidecar migrate verify`: whether the candidate's field holds what the candidate makes of every document's text."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.migrate.counts import FieldCounts, count_field
from sidecar.cluster.migrate.sample import Sample, compare_sample
from sidecar.cluster.migrate.state import enter, now, require_open
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.reconcile.finding import complete_query, decide, scanned_fields
from sidecar.domain import WHOLE_TEXT, Windows
from sidecar.engine import Engine, IndexMeta, MigrationState, ScanSpec, dialect_of
from sidecar.errors import InvalidInput

__all__ = [
    "DIFFERENCE_ALLOWED",
    "Verification",
    "VerifyOptions",
    "count_changed",
    "mark_verified",
    "problems_of",
    "verify",
]

DIFFERENCE_ALLOWED = 2.0**-8
"""As a share of a vector's largest weight: what nine significant bits, in which indices keep weights, tell apart."""

PAGE = 500


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How thoroughly it is looked. `changed` reads every text of the index and compares its hash, without encoding.

    `sample` documents, drawn at random, are encoded again, in `windows` as they were. `allow_missing`: documents that
    may lack the vector of their text, because they are written just now.
    """

    sample: int = 50
    changed: bool = True
    allow_missing: int = 0
    windows: Windows = WHOLE_TEXT

    def __post_init__(self) -> None:
        if not 0 <= self.sample <= 10_000:
            raise InvalidInput("A sample has 0 to 10,000 documents.", field="sample")
        if self.allow_missing < 0:
            raise InvalidInput("The number of documents that may lack a vector is 0 or more.", field="allow_missing")


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `changed` documents have the vector of an older text; None: not looked for.

    `problems` say, in words, why the candidate can't take over; empty: it can.
    """

    index: str
    candidate: IndexMeta
    counts: FieldCounts
    changed: int | None
    sample: Sample
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against a swap."""
        return not self.problems


async def verify(
    engine: Engine, sidecar: AsyncSidecarClient, index: str, options: VerifyOptions | None = None
) -> Verification:
    """Count, compare hashes, and encode a sample anew; changes nothing (see `mark_verified`).

    Raises InvalidInput where no migration is open or the candidate is searched already, FingerprintMismatch or
    UnknownModel where the sidecar does not serve it.
    """
    chosen = options or VerifyOptions()
    found, record = await require_open(engine, index, MigrationState.FILLING)
    meta = record.candidate
    model = encoder_of_index(await sidecar.models(), meta, found.index)
    await engine.refresh(found.index)
    counts = await count_field(engine, found.index, meta)
    changed = await count_changed(engine, found.index, meta) if chosen.changed else None
    sample = await compare_sample(engine, sidecar, found.index, meta, model.name, chosen.sample, chosen.windows)
    return Verification(
        found.index, meta, counts, changed, sample, problems_of(meta, counts, changed, sample, chosen.allow_missing)
    )


async def mark_verified(engine: Engine, verification: Verification) -> None:
    """Enter into the index that its candidate was found right: a swap asks for it.

    Raises InvalidInput where the verification did not pass, or is about another candidate than the present one.
    """
    _, record = await require_open(engine, verification.index, MigrationState.FILLING)
    if not verification.passed or record.candidate != verification.candidate:
        raise InvalidInput(f"{record.candidate.bundle} was not found right on {verification.index}.", field="index")
    entered = record.model_copy(update={"verified": now()})
    await enter(engine, verification.index, entered.to_mapping())


async def count_changed(engine: Engine, index: str, meta: IndexMeta) -> int:
    """Count the documents whose vector is that of an older text, by their hashes."""
    dialect = dialect_of(meta)
    spec = ScanSpec(index, complete_query(meta, dialect), scanned_fields(meta))
    count = 0
    async with engine.scan(spec) as scan, aclosing(scan.pages(0, lambda: PAGE)) as pages:
        async for page in pages:
            count += sum(decide(document, meta, has_vector=True) is not None for document in page)
    return count


def problems_of(
    meta: IndexMeta, counts: FieldCounts, changed: int | None, sample: Sample, allowed: int
) -> tuple[str, ...]:
    """Say in words why a model's vectors can't take over; empty: they can."""
    problems: list[str] = []
    behind = counts.missing + (changed or 0)
    if behind > allowed:
        problems.append(
            f"{counts.missing} documents have no vector of {meta.bundle}, {changed or 0} one of an older text"
            f" ({allowed} allowed): `sidecar reconcile` fills them."
        )
    if sample.largest_difference > DIFFERENCE_ALLOWED:
        problems.append(
            f"{len(sample.differing)} of {sample.compared} sampled documents hold another vector than {meta.bundle}"
            f" makes of their text now, by up to {sample.largest_difference:.2g} of the largest weight: for example"
            f" {', '.join(sample.differing[:3])}."
        )
    return tuple(problems)
