"""What the commands of the group `migrate` do where the migration goes into a second index."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sidecar.cli.connections import SidecarAddress
from sidecar.cli.output import letters_path
from sidecar.domain import WindowPolicy, Windows

if TYPE_CHECKING:
    from sidecar.cluster.migrate import FieldCounts
    from sidecar.cluster.second_index import Pair, SecondIndexStatus
    from sidecar.engine import Engine

__all__ = ["figures", "lines", "removed", "switched"]


async def switched(
    engine: Engine,
    encoder: SidecarAddress,
    pair: Pair,
    *,
    back: bool,
    block_seconds: float,
    long_texts: WindowPolicy,
    force: bool = False,
    allow_missing: int = 0,
) -> str:
    """Swap or roll back; return what an operator is told."""
    from sidecar.cluster import DeadLetters
    from sidecar.cluster.reconcile import ReconcileOptions
    from sidecar.cluster.second_index import roll_indices_back, swap_indices

    alias = pair.record.alias
    options = ReconcileOptions(windows=Windows(long_texts))
    with DeadLetters(letters_path(alias)) as letters:
        async with encoder.client() as client:
            if back:
                after = await roll_indices_back(engine, client, alias, letters, options, block_seconds=block_seconds)
            else:
                after = await swap_indices(
                    engine,
                    client,
                    alias,
                    letters,
                    options,
                    force=force,
                    allow_missing=allow_missing,
                    block_seconds=block_seconds,
                )
    serving = after.serving
    lost = f" {letters.count} documents are in {letters.path}." if letters.count else ""
    return f"{alias} stands for {serving.name}, and is searched by {serving.meta.bundle} from now on.{lost}"


async def removed(engine: Engine, pair: Pair, *, abandoned: bool, settle: float) -> str:
    """Delete the index that is not wanted any more; return what an operator is told."""
    from sidecar.cluster.second_index import abort_second_index, drop_first_index

    remove = abort_second_index if abandoned else drop_first_index
    done = await remove(engine, pair.record.alias, settle=settle)
    model = "" if done.model is None else f" with the vectors of {done.model.bundle}"
    return f"{done.index}{model} is deleted; {done.alias} stands for {done.kept}."


def lines(found: SecondIndexStatus) -> list[str]:
    """Return what `status` says."""
    pair, record = found.pair, found.pair.record
    serving = pair.serving
    told = [_side(record.alias, serving.name, serving.meta.bundle, found.counts, searched=True)]
    if found.other is None:
        told.append(
            f"{record.second} is not made yet: repeat `sidecar migrate start --into {record.second}`, or `abort`."
            if pair.first is not None
            else f"{record.first} is deleted: repeat `sidecar migrate drop`."
        )
    else:
        other = pair.other
        told.append(_side(record.alias, other.name, other.meta.bundle, found.other, searched=False))
    if record.switching is not None:
        told.append(
            f"Since {record.switching} a switch is under way, and writes are refused. If nobody is at it, repeat `swap`"
            " or `rollback`: either lets them through."
        )
    told.append(
        f"Begun: {record.begun}; verified: {record.verified or 'never'}; last swap or roll-back:"
        f" {record.switched or 'never'}"
    )
    return told


def figures(found: SecondIndexStatus) -> dict[str, object]:
    """Return what `status --json` says."""
    pair, record = found.pair, found.pair.record
    state = "swapped" if pair.swapped else "filling"
    return {
        "index": pair.serving.name,
        "active": pair.serving.meta.model_dump(mode="json"),
        "counts": asdict(found.counts),
        "state": state,
        "other": None if found.other is None else pair.other.meta.model_dump(mode="json"),
        "other_index": None if found.other is None else pair.other.name,
        "other_counts": None if found.other is None else asdict(found.other),
        "begun": record.begun,
        "verified": record.verified,
        "switching": record.switching,
        "switched": record.switched,
    }


def _side(alias: str, index: str, bundle: str, counts: FieldCounts, *, searched: bool) -> str:
    what = f"{alias} stands for {index}, searched" if searched else f"{index} is a copy of it, encoded"
    return (
        f"{what} by {bundle}: {counts.with_vector} of {counts.documents} documents have a vector,"
        f" {counts.without_text} no text, {counts.missing} are missing."
    )
