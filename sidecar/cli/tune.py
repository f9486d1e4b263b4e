"""`sidecar tune`: a profile for your documents and your queries, and what it gains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import LOCAL, ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.judged import (
    JudgedIndexOption,
    QrelsOption,
    QueriesOption,
    judged_index,
    warn,
    warn_of_collection,
    warn_of_index,
)
from sidecar.cli.meanwhile import started, until_terminated
from sidecar.cli.output import say as told
from sidecar.cli.progress import measuring_progress
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.evaluation import JudgedQueries
    from sidecar.evaluation.tuning import Tuned, TuningPlan, TuningReport

__all__ = ["register"]

SPLIT = "dev"


def register(app: typer.Typer) -> None:
    """Add `tune` to `app`."""
    app.command("tune")(tune)


@with_addresses
def tune(
    *,
    out: Annotated[
        Path, typer.Option("--out", help="File for the tuned profile, YAML; the profile is named after it.")
    ],
    collection: Annotated[Path | None, typer.Option("--collection", help="Folder in BEIR's layout.")] = None,
    split: Annotated[
        str | None, typer.Option("--split", help=f"Which qrels/SPLIT.tsv of the collection is used: {SPLIT}.")
    ] = None,
    index: JudgedIndexOption = None,
    queries: QueriesOption = None,
    qrels: QrelsOption = None,
    profile: Annotated[
        str, typer.Option("--profile", help="What to begin with: a built-in profile or a YAML file.")
    ] = "hybrid+rerank",
    measure: Annotated[str, typer.Option("--measure", help="nDCG@10, MRR@10 or R@100.")] = "nDCG@10",
    max_depth: Annotated[
        int | None,
        typer.Option("--max-depth", min=1, help="Rerank so many documents at most; default: as many as the profile."),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts of the queries; each checks the others.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="How the queries are dealt into folds.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Write the chosen values also where their gain is not beyond chance.")
    ] = False,
    cluster_or_local: ClusterAddress,
    encoder_or_local: SidecarAddress,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="With a local sidecar: the bundles it serves (default: the starters), the sparse encoder first."
            " Otherwise: the name of the sparse encoder that a collection is indexed by.",
        ),
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="File for the report, as JSON.")] = None,
) -> None:
    """Tune fusion, query weights and reranking of a profile on judged queries, and say what that gains on others."""
    from sidecar.evaluation import EvaluationReport, read_collection
    from sidecar.evaluation.tuning import TuningPlan, check_new, write_profile
    from sidecar.search import load_profile

    live = judged_index(index, queries, qrels, cluster_or_local, {"--collection": collection, "--split": split})
    bundles = model or [] if encoder_or_local.target == LOCAL else []
    encoder_name = model[0] if model and encoder_or_local.target != LOCAL else None
    if live is not None and encoder_name is not None:
        raise InvalidInput("--model can't be given with --index, which says itself who encoded it.", field="model")
    plan = TuningPlan(
        load_profile(profile),
        out.stem,
        measure=measure,
        folds=folds,
        seed=seed,
        force=force,
        model=encoder_name,
        max_depth=max_depth,
    )
    judged: JudgedQueries
    judged = read_collection(collection or Path(), split or SPLIT) if live is None else live.read()
    check_new(out)
    if json_ is not None:
        if json_.resolve() == out.resolve():
            raise InvalidInput(
                "--out and --json name the same file: the profile is one, the report another.", field="json"
            )
        EvaluationReport.check_writable(json_)
    errors = Console(stderr=True)
    with (
        started(cluster_or_local, encoder_or_local, bundles, errors) as (cluster, encoder),
        measuring_progress(errors) as say,
    ):
        found = asyncio.run(until_terminated(_tuned(judged, plan, cluster, encoder, say, errors)))
    for note in found.report.notes:
        warn(note, errors)
    # Shown first: a file that can't be written by now must not take the results with it.
    _show(found.report)
    if json_ is not None:
        found.report.write(json_)
    write_profile(out, found.profile, found.report)
    told(f"{found.report.verdict} {out} has the profile {found.profile.name}.")


async def _tuned(
    judged: JudgedQueries,
    plan: TuningPlan,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    say: Callable[[str, int, int], None],
    errors: Console,
) -> Tuned:
    from sidecar.evaluation import Collection, look_at
    from sidecar.evaluation.tuning import Tuner

    async with await cluster.connect() as engine, encoder.client() as client:
        tuner = Tuner(engine, client, plan, say)
        if isinstance(judged, Collection):
            warn_of_collection(judged, errors)
            return await tuner.tune_collection(judged)
        live = await look_at(engine, judged.name, judged)
        warn_of_index(live, errors)
        return await tuner.tune_index(live)


def _show(report: TuningReport) -> None:
    from sidecar.evaluation.tuning.table import curve_table, gain_table, setting_table

    console = Console()
    console.print(gain_table(report))
    console.print(setting_table(report))
    console.print(curve_table(report))
