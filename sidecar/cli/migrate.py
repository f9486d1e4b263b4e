"""Commands of the group `migrate`: rolling another model out on a live index, and dropping the old one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import AllowMissingOption, JsonOption, MigratedIndexOption, RateOption
from sidecar.cli.output import print_json, say, show
from sidecar.domain import WHOLE_TEXT, WindowPolicy

if TYPE_CHECKING:
    from sidecar.cluster.migrate import MigrationStatus

__all__ = ["register"]

BlockOption = Annotated[
    float,
    typer.Option("--block-seconds", min=0.1, help="With a second index: how long writes may be refused, at most."),
]
SameLongTextsOption = Annotated[
    WindowPolicy, typer.Option("--long-texts", help="With a second index: as it was said to `start`.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`, as a group of its own."""
    from sidecar.cli.migrate_start import start
    from sidecar.cli.migrate_verify import verify

    group = typer.Typer(no_args_is_help=True, help="Roll another model out on a live index, and drop the old one.")
    for command in (start, status, verify, swap, rollback, drop, abort):
        group.command()(command)
    app.add_typer(group, name="migrate")


@with_addresses
def status(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    as_json: JsonOption = False,
) -> None:
    """Show which model is searched, how far the other one is, and what can be done next."""
    from sidecar.cli.second_index import figures, lines
    from sidecar.cluster.migrate import status as read_status
    from sidecar.cluster.second_index import find_pair, second_index_status

    async def run() -> tuple[list[str], dict[str, object]]:
        async with await cluster.connect() as connected:
            if await find_pair(connected, index) is not None:
                second = await second_index_status(connected, index)
                return lines(second), figures(second)
            found = await read_status(connected, index)
            return _lines(found), _figures(found)

    told, numbers = asyncio.run(run())
    if as_json:
        print_json(numbers)
        return
    for line in told:
        show(line)


def _lines(found: MigrationStatus) -> list[str]:
    counts = found.counts
    lines = [
        f"{found.index} is searched by {found.active.bundle} ({found.active.fingerprint[:16]}) in"
        f" {found.active.vector_field}: {counts.with_vector} of {counts.documents} documents have a vector,"
        f" {counts.without_text} no text, {counts.missing} are missing."
    ]
    if found.record is None or found.other is None:
        lines.append("No migration is open.")
    else:
        other = found.record.other
        lines += [
            f"{found.record.state}: {other.bundle} ({other.fingerprint[:16]}) in {other.vector_field}:"
            f" {found.other.with_vector} have a vector, {found.other.without_text} no text,"
            f" {found.other.missing} are missing.",
            f"Verified: {found.record.verified or 'never'}; last swap or roll-back: {found.record.switched or 'never'}",
        ]
    return lines


@with_addresses
def swap(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    force: Annotated[bool, typer.Option("--force", help="Without a verification that passed.")] = False,
    allow_missing: AllowMissingOption = 0,
    block_seconds: BlockOption = 30.0,
    long_texts: SameLongTextsOption = WHOLE_TEXT.policy,
) -> None:
    """Let searches use the new model: one request. A second time changes nothing."""
    from sidecar.cli.second_index import switched
    from sidecar.cluster.migrate import swap as switch
    from sidecar.cluster.second_index import find_pair

    async def run() -> str:
        async with await cluster.connect() as connected:
            pair = await find_pair(connected, index)
            if pair is not None:
                return await switched(
                    connected,
                    encoder,
                    pair,
                    back=False,
                    block_seconds=block_seconds,
                    long_texts=long_texts,
                    force=force,
                    allow_missing=allow_missing,
                )
            record = await switch(connected, index, force=force, allow_missing=allow_missing)
            return _searched(index, record.candidate.bundle)

    say(asyncio.run(run()))


@with_addresses
def rollback(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    block_seconds: BlockOption = 30.0,
    long_texts: SameLongTextsOption = WHOLE_TEXT.policy,
) -> None:
    """Let searches use the old model again: one request. A second time changes nothing."""
    from sidecar.cli.second_index import switched
    from sidecar.cluster.migrate import rollback as switch
    from sidecar.cluster.second_index import find_pair

    async def run() -> str:
        async with await cluster.connect() as connected:
            pair = await find_pair(connected, index)
            if pair is not None:
                return await switched(
                    connected,
                    encoder,
                    pair,
                    back=True,
                    block_seconds=block_seconds,
                    long_texts=long_texts,
                )
            return _searched(index, (await switch(connected, index)).previous.bundle)

    say(asyncio.run(run()))


@with_addresses
def drop(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    rate: RateOption = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Do not wait until the last swap is a minute old: searches may find too little."),
    ] = False,
) -> None:
    """Take the old model's vectors out of every document, and forget it. There is no way back; repeat if cut short."""
    _remove(index, cluster, rate, now, abandoned=False)


@with_addresses
def abort(
    index: MigratedIndexOption,
    cluster: ClusterAddress,
    rate: RateOption = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait until the last roll-back is a minute old.")] = False,
) -> None:
    """Give the new model up before a swap, or after a roll-back: take its vectors out of every document."""
    _remove(index, cluster, rate, now, abandoned=True)


def _remove(index: str, cluster: ClusterAddress, rate: float | None, now: bool, *, abandoned: bool) -> None:
    from sidecar.cli.second_index import removed
    from sidecar.cluster.migrate import SETTLE_SECONDS, Removed
    from sidecar.cluster.migrate import abort as give_up
    from sidecar.cluster.migrate import drop as forget
    from sidecar.cluster.second_index import find_pair

    remove = give_up if abandoned else forget
    console = Console(stderr=True)

    async def run() -> Removed | str:
        async with await cluster.connect() as connected:
            pair = await find_pair(connected, index)
            with console.status("waiting for searches of the other model") as shown:
                if pair is not None:
                    settle = 0.0 if now else SETTLE_SECONDS
                    return await removed(connected, pair, abandoned=abandoned, settle=settle)
                return await remove(
                    connected,
                    index,
                    settle=0.0 if now else SETTLE_SECONDS,
                    rate=rate,
                    progress=lambda done: shown.update(f"{done} documents"),
                )

    done = asyncio.run(run())
    if isinstance(done, str):
        say(done)
        return
    say(f"{done.model.bundle} is gone from {done.documents} documents of {done.index}.")
    say(
        f"{done.index} keeps the definitions of {', '.join(done.fields)}: no cluster removes a field from a"
        " mapping; reindexing into an index without them does."
    )


def _searched(index: str, bundle: str) -> str:
    return f"{index} is searched by {bundle}; running searchers take it within half a minute."


def _figures(found: MigrationStatus) -> dict[str, object]:
    from dataclasses import asdict

    record = found.record
    return {
        "index": found.index,
        "active": found.active.model_dump(mode="json"),
        "counts": asdict(found.counts),
        "state": None if record is None else record.state,
        "other": None if record is None else record.other.model_dump(mode="json"),
        "other_counts": None if found.other is None else asdict(found.other),
        "verified": None if record is None else record.verified,
        "switched": None if record is None else record.switched,
    }
