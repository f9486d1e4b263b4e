"""`sidecar evaluate`: effectiveness and cost of profiles on test collections, or on an index that exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import LOCAL, ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.evaluation_files import EvaluationFiles
from sidecar.cli.judged import (
    JudgedIndexOption,
    QrelsOption,
    QueriesOption,
    judged_index,
    note_few,
    warn,
    warn_of_collection,
    warn_of_index,
)
from sidecar.cli.meanwhile import started, until_terminated
from sidecar.cli.passage_options import (
    PassageLimitOption,
    PassagesOption,
    PassageStrideOption,
    PassageWordsOption,
    passage_rule,
)
from sidecar.cli.progress import measuring_progress
from sidecar.domain import WHOLE_TEXT, WindowPolicy, Windows
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.engine import Engine
    from sidecar.evaluation import EvaluationReport, JudgedQueries, Plan, Run
    from sidecar.evaluation.losses import ProfileLosses

__all__ = ["register"]

RECALL_DEPTH = 100
"""Hits that the deepest measure, R@100, looks at."""

SPLIT = "test"


def register(app: typer.Typer) -> None:
    """Add `evaluate` to `app`."""
    app.command("evaluate")(evaluate)


@with_addresses
def evaluate(
    *,
    collection: Annotated[
        list[Path] | None, typer.Option("--collection", help="Folder in BEIR's layout; may be given several times.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help=f"Which qrels/SPLIT.tsv of a collection is used: {SPLIT}.")
    ] = None,
    index: JudgedIndexOption = None,
    queries: QueriesOption = None,
    qrels: QrelsOption = None,
    profiles: Annotated[
        str, typer.Option("--profiles", help="Built-in profiles or YAML files, comma-separated.")
    ] = "lexical,sparse,hybrid,hybrid+rerank",
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            help="Name of the profile that the others are compared with (default: lexical where it is among them, else"
            " the first).",
        ),
    ] = None,
    cluster_or_local: ClusterAddress,
    encoder_or_local: SidecarAddress,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="With a local sidecar: the bundles it serves (default: the starters), the sparse encoder first."
            " Otherwise: the name of the sparse encoder that collections are indexed by.",
        ),
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="File for the report, as JSON.")] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="Folder for TREC run files.")] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Put every query's values into the JSON.")] = False,
    worst: Annotated[
        int, typer.Option("--worst", min=0, help="Show so many queries that lost most against the baseline.")
    ] = 0,
    depth: Annotated[int, typer.Option("--depth", min=10, max=1000, help="Hits per query in a run.")] = 100,
    latency_queries: Annotated[
        int, typer.Option("--latency-queries", min=1, help="How many queries are timed, one at a time, with 10 hits.")
    ] = 50,
    long_texts: Annotated[
        WindowPolicy | None,
        typer.Option(
            "--long-texts",
            help=f"Documents of a collection beyond the encoder's length: their head, or all ({WHOLE_TEXT.policy}).",
        ),
    ] = None,
    passages: PassagesOption = False,
    passage_words: PassageWordsOption = None,
    passage_stride: PassageStrideOption = None,
    passage_limit: PassageLimitOption = None,
) -> None:
    """Run profiles on test collections, and measure: each is indexed, and its index deleted again.

    With --index, an index that exists is searched instead, and only read.
    """
    from sidecar.evaluation import Plan, read_collections
    from sidecar.search import load_profile

    about_collections = {
        "--collection": collection,
        "--split": split,
        "--long-texts": long_texts,
        "--passages": passages,
        "--passage-words": passage_words,
        "--passage-stride": passage_stride,
        "--passage-limit": passage_limit,
    }
    live = judged_index(index, queries, qrels, cluster_or_local, about_collections)
    bundles = model or [] if encoder_or_local.target == LOCAL else []
    encoder_name = model[0] if model and encoder_or_local.target != LOCAL else None
    if live is not None and encoder_name is not None:
        raise InvalidInput("--model can't be given with --index, which says itself who encoded it.", field="model")
    chosen = tuple(load_profile(name.strip()) for name in profiles.split(",") if name.strip())
    judged: Sequence[JudgedQueries]
    judged = [live.read()] if live is not None else read_collections(collection or [], split or SPLIT)
    plan = Plan(
        chosen,
        baseline=baseline,
        depth=depth,
        latency_queries=latency_queries,
        windows=Windows(long_texts or WHOLE_TEXT.policy),
        passages=passage_rule(passages, passage_words, passage_stride, passage_limit),
        model=encoder_name,
        per_query=per_query,
    )
    files = EvaluationFiles(json_, runs)
    files.check([one.name for one in judged], [name for one in judged for name in _ids(one)], chosen)
    errors = Console(stderr=True)
    if depth < RECALL_DEPTH:
        warn(f"with --depth {depth}, R@{RECALL_DEPTH} is the recall of the first {depth} hits.", errors)
    with (
        started(cluster_or_local, encoder_or_local, bundles, errors) as (cluster, encoder),
        measuring_progress(errors) as say,
    ):
        report, found = asyncio.run(until_terminated(_evaluated(judged, plan, cluster, encoder, say, files, errors)))
    _show(report, _losses(judged, found, plan.compared_with, worst))


def _ids(judged: JudgedQueries) -> Iterator[str]:
    """Ids of the queries, and of all documents that are known before anything is searched."""
    from sidecar.evaluation import Collection

    yield from (query.id for query in judged.queries)
    yield from (one.id for one in judged.documents) if isinstance(judged, Collection) else judged.judged_documents


async def _evaluated(
    judged: Sequence[JudgedQueries],
    plan: Plan,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    say: Callable[[str, int, int], None],
    files: EvaluationFiles,
    errors: Console,
) -> tuple[EvaluationReport, Mapping[tuple[str, str], Run]]:
    from sidecar.evaluation import Collection, Experiment

    for one in judged:
        note_few(one, errors)
        if isinstance(one, Collection):
            warn_of_collection(one, errors)
    async with await cluster.connect() as engine, encoder.client() as client:
        report = await _empty_report(engine, client, plan)
        experiment = Experiment(engine, client, plan, say)
        for one in judged:
            if isinstance(one, Collection):
                found = await experiment.evaluate(one)
            else:
                live = await experiment.look_at(one.name, one)
                warn_of_index(live, errors)
                found = await experiment.evaluate_index(live)
            report = report.model_copy(update={"collections": (*report.collections, found)})
            files.write(report, experiment)
    return report, experiment.runs


def _losses(
    judged: Sequence[JudgedQueries], found: Mapping[tuple[str, str], Run], baseline: str, worst: int
) -> list[ProfileLosses]:
    from sidecar.evaluation.losses import losses

    if not worst:
        return []
    by_name = {one.name: {profile: run for (name, profile), run in found.items() if name == one.name} for one in judged}
    return [lost for one in judged for lost in losses(one, by_name[one.name], baseline, worst)]


async def _empty_report(engine: Engine, client: AsyncSidecarClient, plan: Plan) -> EvaluationReport:
    from sidecar.evaluation import EvaluationReport, ModelReport, environment

    return EvaluationReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment(),
        engine=f"{engine.info.distribution} {engine.info.version}",
        baseline=plan.compared_with,
        models=tuple(
            ModelReport(name=one.name, kind=one.kind, fingerprint=one.fingerprint, quantization=one.quantization)
            for one in await client.models()
        ),
        collections=(),
    )


def _show(report: EvaluationReport, lost: Sequence[ProfileLosses]) -> None:
    from sidecar.evaluation import MEASURES
    from sidecar.evaluation.conclusion import conclusions
    from sidecar.evaluation.table import comparison_table, effectiveness_table, index_table, latency_table, loss_table

    console = Console()
    for sentence in conclusions(report):
        console.print(escape(sentence), highlight=False, soft_wrap=True)
    for measure in MEASURES:
        console.print(effectiveness_table(report, measure))
    comparisons = comparison_table(report)
    if comparisons is not None:
        console.print(comparisons)
    for one in lost:
        if one.worst:
            console.print(loss_table(one, str(report.baseline)))
    console.print(latency_table(report))
    console.print(index_table(report))
