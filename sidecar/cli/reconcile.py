"""Commands of the group `reconcile`: giving an index the vectors it lacks, and trying dead letters again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import (
    LongTextsOption,
    MaxTextBytesOption,
    PatienceOption,
    RateOption,
    SlicesOption,
    SummaryJsonOption,
    UnencodedLettersOption,
    one_name,
)
from sidecar.cli.output import letters_path, print_json_line, say
from sidecar.cli.running import equipped
from sidecar.domain import WHOLE_TEXT, JsonObject, Windows
from sidecar.errors import DocumentsNotWritten, InvalidInput

if TYPE_CHECKING:
    from sidecar.cluster.reconcile import ReconcileOptions
    from sidecar.cluster.retry import RetrySummary

__all__ = ["register"]


ModelOption = Annotated[
    str | None, typer.Option("--model", help="Sparse encoder at the sidecar; default: the one of the index.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("reconcile")(reconcile)
    app.command("retry")(retry)


@with_addresses
def reconcile(
    index: Annotated[
        str, typer.Option("--index", callback=one_name, help="Index or alias; `sidecar setup` prepared it.")
    ],
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    model: ModelOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Watch on until interrupted.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks of --follow.")] = 30.0,
    rate: RateOption = None,
    slices: SlicesOption = 1,
    where: Annotated[str | None, typer.Option(help="Only documents that match this query, in JSON.")] = None,
    changed: Annotated[
        bool, typer.Option("--changed/--no-changed", help="Also compare the texts of documents that have a vector.")
    ] = True,
    long_texts: LongTextsOption = WHOLE_TEXT.policy,
    patience: PatienceOption = 300.0,
    dead_letters: UnencodedLettersOption = None,
    max_text_bytes: MaxTextBytesOption = 1_048_576,
    as_json: SummaryJsonOption = False,
) -> None:
    """Find documents whose vector is missing, outdated or of a changed text, and write it. Safe to kill and repeat.

    Exit code 3: some are in the dead letters or left for another run. Ctrl-C, SIGTERM or SIGHUP end it cleanly.
    """
    from sidecar.cluster.reconcile import Limits, ReconcileOptions

    letters = dead_letters or letters_path(index)
    options = ReconcileOptions(
        slices=slices,
        where=_query(where),
        changed=changed,
        follow=follow,
        interval=interval,
        patience=patience,
        limits=Limits(rate=rate),
        windows=Windows(long_texts),
        max_text_bytes=max_text_bytes,
    )
    asyncio.run(_reconcile(index, model, options, letters, cluster, encoder, as_json))


@with_addresses
def retry(
    dead_letters: Annotated[Path, typer.Argument(help="File of dead letters, of `sidecar index` or `reconcile`.")],
    index: Annotated[
        str | None, typer.Option("--index", callback=one_name, help="Index of letters that do not name theirs.")
    ] = None,
    *,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    model: ModelOption = None,
    long_texts: LongTextsOption = WHOLE_TEXT.policy,
    max_text_bytes: MaxTextBytesOption = 1_048_576,
    as_json: SummaryJsonOption = False,
) -> None:
    """Try dead letters again, and leave in the file those that fail again. Exit code 3: there are such."""
    from sidecar.cluster import IndexOptions
    from sidecar.cluster.reconcile import ReconcileOptions
    from sidecar.cluster.retry import retry as try_again

    windows = Windows(long_texts)

    async def run() -> RetrySummary:
        async with await cluster.connect() as connected, encoder.client() as client:
            return await try_again(
                connected,
                client,
                dead_letters,
                index=index,
                model=model,
                writing=IndexOptions(windows=windows, max_text_bytes=max_text_bytes),
                reconciling=ReconcileOptions(windows=windows, max_text_bytes=max_text_bytes),
            )

    summary = asyncio.run(run())
    figures = asdict(summary)
    if as_json:
        print_json_line(figures)
    else:
        mending = " (lines that could not be read: mend them in their file and index it again)" if summary.kept else ""
        say(", ".join(f"{name} {count}" for name, count in figures.items()) + mending)
    if summary.failed or summary.kept:
        raise DocumentsNotWritten(f"{summary.failed + summary.kept} letters are still in {dead_letters}.")


async def _reconcile(
    index: str,
    model: str | None,
    options: ReconcileOptions,
    letters: Path,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    as_json: bool,
) -> None:
    from sidecar.cluster.frequencies import refresh_where_useful
    from sidecar.cluster.upkeep import ReconcileEvery

    async with equipped(letters, cluster, encoder) as tools:
        run = ReconcileEvery(
            tools.engine,
            tools.client,
            index,
            tools.letters,
            options,
            model=model,
            progress=tools.progress,
            tell=tools.tell,
        )
        async with tools.carrying_out(run, as_json=as_json):
            await refresh_where_useful(tools.engine, tools.client, index, model=model)


def _query(where: str | None) -> JsonObject | None:
    import orjson

    from sidecar.engine.exact_json import read_json

    if where is None:
        return None
    try:
        # What the shell gave as no UTF-8 is none again, which the reader refuses.
        query = read_json(where.encode("utf-8", "surrogatepass"))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"--where is no valid JSON: {error.msg} at {error.pos}.", field="where") from None
    if not isinstance(query, dict) or len(query) != 1:
        raise InvalidInput('--where is one query, such as {"term": {"lang": "en"}}.', field="where")
    return query
