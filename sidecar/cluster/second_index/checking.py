"""`sidecar migrate status` and `verify` of a migration into a second index."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.migrate.counts import FieldCounts, count_field
from sidecar.cluster.migrate.sample import compare_sample
from sidecar.cluster.migrate.state import enter, now
from sidecar.cluster.migrate.verifying import Verification, VerifyOptions, count_changed, problems_of
from sidecar.cluster.mirror.comparing import Differences, differences
from sidecar.cluster.mirror.pair import Pair, require_pair
from sidecar.cluster.models import encoder_of_index
from sidecar.engine import Engine
from sidecar.errors import InvalidInput

__all__ = ["SecondIndexStatus", "mark_second_index_verified", "second_index_status", "verify_second_index"]


@dataclass(frozen=True, slots=True)
class SecondIndexStatus:
    """Both indices, and how far each is filled; `other` None where there is only one (yet, or any more)."""

    pair: Pair
    counts: FieldCounts
    other: FieldCounts | None


async def second_index_status(engine: Engine, index: str) -> SecondIndexStatus:
    """Return how far a migration into a second index is; raises InvalidInput where none is open."""
    pair = await require_pair(engine, index)
    serving = pair.serving
    sides = [side for side in (pair.first, pair.second) if side is not None and side is not serving]
    await engine.refresh(",".join(side.name for side in (serving, *sides)))
    counts = await count_field(engine, serving.name, serving.meta)
    other = await count_field(engine, sides[0].name, sides[0].meta) if sides else None
    return SecondIndexStatus(pair, counts, other)


async def verify_second_index(
    engine: Engine, sidecar: AsyncSidecarClient, index: str, options: VerifyOptions | None = None
) -> Verification:
    """Compare both indices document by document, count, and encode a sample anew; changes nothing.

    Raises InvalidInput where no migration is open or the new index is searched already, FingerprintMismatch or
    UnknownModel where the sidecar does not serve the new model.
    """
    chosen = options or VerifyOptions()
    pair = await require_pair(engine, index)
    if pair.swapped:
        raise InvalidInput(f"{pair.record.second} is searched already.", field="index")
    source, copy = pair.serving, pair.other
    model = encoder_of_index(await sidecar.models(), copy.meta, copy.name)
    await engine.refresh(copy.name)
    counts = await count_field(engine, copy.name, copy.meta)
    apart = await differences(engine, source, copy) if chosen.changed else Differences(0, 0)
    changed = await count_changed(engine, copy.name, copy.meta) if chosen.changed else None
    sample = await compare_sample(engine, sidecar, copy.name, copy.meta, model.name, chosen.sample, chosen.windows)
    problems = problems_of(copy.meta, counts, changed, sample, chosen.allow_missing)
    if apart.behind + apart.orphaned > chosen.allow_missing:
        problems = (
            *problems,
            f"{apart.behind} documents of {source.name} are not, or not as they are now, in {copy.name}, which has"
            f" {apart.orphaned} that are deleted ({chosen.allow_missing} allowed): `sidecar reconcile --index"
            f" {pair.record.alias}` copies them.",
        )
    return Verification(copy.name, copy.meta, counts, changed, sample, problems)


async def mark_second_index_verified(engine: Engine, verification: Verification) -> None:
    """Enter into the new index that it was found right: a swap asks for it.

    Raises InvalidInput where the verification did not pass, or is about another model than the present one.
    """
    pair = await require_pair(engine, verification.index)
    if not verification.passed or pair.second is None or pair.second.meta != verification.candidate:
        raise InvalidInput(f"{verification.index} was not found right.", field="index")
    entered = pair.record.model_copy(update={"verified": now()})
    await enter(engine, pair.second.name, entered.to_mapping())
