"""Commands of the group `reconcile`: giving an index the vectors it lacks, and trying dead letters again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import (
    DEFAULT_ENGINE,
    DEFAULT_SIDECAR,
    CaOption,
    ClusterAddress,
    EngineOption,
    InsecureOption,
    PasswordOption,
    SidecarAddress,
    SidecarCaOption,
    SidecarOption,
    TokenOption,
    UserOption,
)
from sidecar.domain import JsonObject, WindowPolicy, Windows
from sidecar.errors import DocumentsNotWritten, InvalidInput

if TYPE_CHECKING:
    from sidecar.cluster.reconcile import ReconcileOptions, ReconcileSummary
    from sidecar.cluster.retry import RetrySummary

__all__ = ["Run", "print_run", "register", "until_stopped"]


class Run(Protocol):
    """What goes through an index until it is stopped."""

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far."""

    @property
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are."""

    def stop(self) -> None:
        """End it soon, in an orderly way."""


ModelOption = Annotated[
    str | None, typer.Option("--model", help="Sparse encoder at the sidecar; default: the one of the index.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("reconcile")(reconcile)
    app.command("retry")(retry)


def reconcile(
    index: Annotated[str, typer.Option("--index", help="Index or alias; `sidecar setup` prepared it.")],
    engine: EngineOption = DEFAULT_ENGINE,
    sidecar: SidecarOption = DEFAULT_SIDECAR,
    model: ModelOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Watch on until interrupted.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks of --follow.")] = 30.0,
    rate: Annotated[float | None, typer.Option(help="Documents written per second, at most.")] = None,
    slices: Annotated[int, typer.Option(help="Parts in which the index is read side by side.")] = 1,
    where: Annotated[str | None, typer.Option(help="Only documents that match this query, in JSON.")] = None,
    changed: Annotated[
        bool, typer.Option("--changed/--no-changed", help="Also compare the texts of documents that have a vector.")
    ] = True,
    long_texts: Annotated[
        WindowPolicy, typer.Option(help="Texts beyond the model's length: read the head, all in windows, or refuse.")
    ] = WindowPolicy.TRUNCATE,
    patience: Annotated[float, typer.Option(help="Seconds that cluster or sidecar may be away.")] = 300.0,
    dead_letters: Annotated[
        Path | None, typer.Option(help="File for what can't be encoded. Default: dead-letters-INDEX-TIME.jsonl")
    ] = None,
    max_text_bytes: Annotated[
        int, typer.Option(min=1, help="Longer texts go to the dead letters; the sidecar has a limit of its own.")
    ] = 1_048_576,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    user: UserOption = None,
    password: PasswordOption = None,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
) -> None:
    """Find documents whose vector is missing, outdated or of a changed text, and write it. Safe to kill and repeat.

    Exit code 3: some are in the dead letters or left for another run. Ctrl-C or SIGTERM end it cleanly.
    """
    from sidecar.cluster.reconcile import Limits, ReconcileOptions

    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    letters = dead_letters or Path(f"dead-letters-{index.replace('/', '_')}-{moment}.jsonl")
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
    cluster = ClusterAddress(engine, user, password, ca, insecure)
    encoder = SidecarAddress(sidecar, token, sidecar_ca)
    asyncio.run(_reconcile(index, model, options, letters, cluster, encoder, as_json))


def retry(
    dead_letters: Annotated[Path, typer.Argument(help="File of dead letters, of `sidecar index` or `reconcile`.")],
    index: Annotated[str | None, typer.Option("--index", help="Index of letters that do not name theirs.")] = None,
    engine: EngineOption = DEFAULT_ENGINE,
    sidecar: SidecarOption = DEFAULT_SIDECAR,
    model: ModelOption = None,
    long_texts: Annotated[
        WindowPolicy, typer.Option(help="Texts beyond the model's length: read the head, all in windows, or refuse.")
    ] = WindowPolicy.TRUNCATE,
    max_text_bytes: Annotated[
        int, typer.Option(min=1, help="Longer texts go to the dead letters; the sidecar has a limit of its own.")
    ] = 1_048_576,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    user: UserOption = None,
    password: PasswordOption = None,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
) -> None:
    """Try dead letters again, and leave in the file those that fail again. Exit code 3: there are such."""
    from sidecar.cluster import IndexOptions
    from sidecar.cluster.reconcile import ReconcileOptions
    from sidecar.cluster.retry import retry as try_again

    cluster = ClusterAddress(engine, user, password, ca, insecure)
    encoder = SidecarAddress(sidecar, token, sidecar_ca)
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
        import orjson

        typer.echo(orjson.dumps(figures).decode())
    else:
        told = ", ".join(f"{name} {count}" for name, count in figures.items())
        Console(stderr=True).print(told, highlight=False, soft_wrap=True)
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
    from sidecar.cli.progress import reconcile_progress
    from sidecar.cluster import DeadLetters
    from sidecar.cluster.frequencies import refresh_where_useful
    from sidecar.cluster.upkeep import ReconcileEvery

    console = Console(stderr=True)
    with DeadLetters(letters) as dead, reconcile_progress(console) as show:
        async with await cluster.connect() as engine, encoder.client() as client:

            def tell(now: ReconcileSummary, doing: str, total: int) -> None:
                show(doing, now.scanned, total, f"{now.written} written, {now.failed} failed")

            run = ReconcileEvery(
                engine,
                client,
                index,
                dead,
                options,
                model=model,
                progress=tell,
                tell=lambda sentence: console.print(escape(sentence), highlight=False, soft_wrap=True),
            )
            try:
                await until_stopped(run.run(), run)
                await refresh_where_useful(engine, client, index, model=model)
            finally:
                print_run(run, as_json, console)


async def until_stopped(work: Coroutine[None, None, ReconcileSummary], run: Run) -> None:
    """Run `work`; SIGINT and SIGTERM stop the run in an orderly way, a second one at once."""
    task = asyncio.ensure_future(work)
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            task.cancel()
        asked = True
        run.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await task
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _query(where: str | None) -> JsonObject | None:
    import orjson

    if where is None:
        return None
    try:
        query = orjson.loads(where)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"--where is no valid JSON: {error.msg} at {error.pos}.", field="where") from None
    if not isinstance(query, dict) or len(query) != 1:
        raise InvalidInput('--where is one query, such as {"term": {"lang": "en"}}.', field="where")
    return query


def print_run(run: Run, as_json: bool, console: Console) -> None:
    """Print what a run has done."""
    import orjson

    summary = run.summary
    if not run.load_visible:
        console.print(
            "This user may not see how busy the nodes are (cluster:monitor/nodes/stats): only refused writes (429)"
            " slowed the run down.",
            highlight=False,
        )
    if as_json:
        figures = {
            "scanned": summary.scanned,
            "found": summary.found,
            "missing": summary.missing,
            "outdated": summary.outdated,
            "changed": summary.changed,
            "written": summary.written,
            "without_vector": summary.without_vector,
            "truncated": summary.truncated,
            "unneeded": summary.unneeded,
            "gone": summary.gone,
            "failed": summary.failed,
            "left": summary.left,
            "held_back_seconds": round(summary.held_back, 3),
            "seconds": round(summary.seconds, 3),
            "documents_per_second": round(summary.documents_per_second, 1),
        }
        typer.echo(orjson.dumps(figures).decode())
        return
    console.print(
        f"scanned {summary.scanned}, found {summary.found} (missing {summary.missing}, outdated {summary.outdated},"
        f" changed {summary.changed}): written {summary.written} (without text {summary.without_vector}, truncated"
        f" {summary.truncated}), unneeded {summary.unneeded}, gone {summary.gone}, failed {summary.failed}; left"
        f" {summary.left}; {summary.seconds:.1f} s, {summary.documents_per_second:.0f} documents/s, held back"
        f" {summary.held_back:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
