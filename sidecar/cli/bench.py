"""`sidecar bench`: this sidecar against what people would use instead, on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sidecar.cli.meanwhile import until_terminated
from sidecar.domain import ModelKind
from sidecar.errors import SettingsInvalid

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `bench` to `app`."""
    app.command("bench")(bench)


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A row or a group of rows; may be given several times.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show every row with its goal, and end.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for results.json and results.svg.")] = Path("build/bench"),
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Bundle to measure instead of the starter of its kind.")
    ] = None,
    collections: Annotated[
        Path | None,
        typer.Option("--collections", envvar="SIDECAR_COLLECTIONS", help="Folder of collections in BEIR's layout."),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option("--checkpoints", help="Folder of the models' checkpoints, for the torch peers.")
    ] = Path("build/starter"),
    peers: Annotated[Path, typer.Option("--peers", help="Folder of the peers' own environments.")] = Path(
        "build/peers"
    ),
    install_peers: Annotated[
        bool, typer.Option("--install-peers", help="Make the environments of peers that need their own (uv), and end.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: to see that everything works.")] = False,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Interleaved rounds per row.")] = None,
    documents: Annotated[int | None, typer.Option("--documents", min=1, help="Documents encoded per round.")] = None,
    searched: Annotated[
        int | None, typer.Option("--searched", min=1, help="Documents in the index that is searched.")
    ] = None,
    soak_minutes: Annotated[
        float | None, typer.Option("--soak-minutes", min=0.05, help="How long the soak lasts; 30 for publication.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of every contender; default: all cores.")
    ] = None,
) -> None:
    """Run the benchmarks of benchmarks/ (from a checkout of the repository), and print, write and draw the results."""
    try:
        from benchmarks import running
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "benchmarks":
            raise
        raise SettingsInvalid("The benchmarks are not installed: run this in a checkout of the repository.") from None
    from benchmarks.bench import Bench
    from benchmarks.results import Report
    from benchmarks.rows import ROWS, chosen_rows
    from benchmarks.sizes import chosen_sizes
    from benchmarks.table import draw_chart, reasons, results_table
    from benchmarks.texts import collections_folder, read_texts
    from benchmarks.workers import Peers
    from benchmarks.workers import install_peers as install
    from sidecar.bundle import STARTERS, Bundle, find_bundle
    from sidecar.server.logs import configure_logging

    console, errors = Console(), Console(stderr=True)
    if list_:
        for row in ROWS:
            typer.echo(f"{row.name:28}{row.goal or ''!s:10}{row.unit:14}{row.meaning}")
        return
    if install_peers:
        install(peers)
        return
    rows = chosen_rows(tuple(only or ()))
    given = {
        "rounds": rounds,
        "documents": documents,
        "searched": searched,
        "soak_minutes": soak_minutes,
        "threads": threads,
    }
    sizes = chosen_sizes(quick=quick, given={name: value for name, value in given.items() if value is not None})
    bundles = {
        one.manifest.kind: one for one in (Bundle.open(find_bundle(name)) for name in (*STARTERS, *(model or ())))
    }
    folder = collections_folder(collections)
    configure_logging("warning", json=False)
    made = Bench(
        sparse=bundles[ModelKind.SPARSE_ENCODER],
        reranker=bundles[ModelKind.CROSS_ENCODER],
        texts=read_texts(folder),
        sizes=sizes,
        peers=Peers(peers, sizes.threads, sizes.batch),
        work=out,
        checkpoints=checkpoints,
        collections=folder,
        say=lambda line: errors.print(line, highlight=False, style="dim"),
        rows=frozenset(row.name for row in rows),
    )
    made.work.mkdir(parents=True, exist_ok=True)

    def written(report: Report) -> None:
        report.write(out / "results.json")

    report = asyncio.run(until_terminated(running.run(made, rows, written)))
    console.print(results_table(report, console.width))
    for line in reasons(report):
        console.print(line, highlight=False, markup=False)
    draw_chart(report, out / "results.svg")
    errors.print(f"{out / 'results.json'}, {out / 'results.svg'}", highlight=False)
