"""`sidecar evaluate`: effectiveness and cost of profiles on test collections."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import (
    CaOption,
    ClusterAddress,
    InsecureOption,
    PasswordOption,
    SidecarAddress,
    SidecarCaOption,
    SidecarCertOption,
    SidecarKeyOption,
    SidecarNameOption,
    SidecarTlsOption,
    TokenOption,
    UserOption,
)
from sidecar.cli.passage_options import (
    PassageLimitOption,
    PassagesOption,
    PassageStrideOption,
    PassageWordsOption,
    passage_rule,
)
from sidecar.domain import WHOLE_TEXT, WindowPolicy, Windows
from sidecar.errors import EvaluationError

if TYPE_CHECKING:
    from sidecar.evaluation import Collection, EvaluationReport, Experiment, Plan
    from sidecar.search import Profile

__all__ = ["register"]

LOCAL = "local"

RECALL_DEPTH = 100
"""Hits that the deepest measure, R@100, looks at."""


def register(app: typer.Typer) -> None:
    """Add `evaluate` to `app`."""
    app.command("evaluate")(evaluate)


def evaluate(
    collection: Annotated[
        list[Path], typer.Option("--collection", help="Folder in BEIR's layout; may be given several times.")
    ],
    split: Annotated[str, typer.Option("--split", help="Which qrels/SPLIT.tsv is used.")] = "test",
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
    engine: Annotated[
        str,
        typer.Option("--engine", envvar="SIDECAR_ENGINE", help="URL of a cluster; `local` starts one here meanwhile."),
    ] = LOCAL,
    sidecar: Annotated[
        str,
        typer.Option("--sidecar", envvar="SIDECAR_TARGET", help="host:port; `local` starts a sidecar here meanwhile."),
    ] = LOCAL,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="With a local sidecar: the bundles it serves (default: the starters), the sparse encoder first."
            " Otherwise: the name of the sparse encoder.",
        ),
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="File for the report, as JSON.")] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="Folder for TREC run files.")] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Put every query's values into the JSON.")] = False,
    depth: Annotated[int, typer.Option("--depth", min=10, max=1000, help="Hits per query in a run.")] = 100,
    latency_queries: Annotated[
        int, typer.Option("--latency-queries", min=1, help="How many queries are timed, one at a time, with 10 hits.")
    ] = 50,
    long_texts: Annotated[
        WindowPolicy, typer.Option("--long-texts", help="Documents beyond the encoder's length: their head, or all.")
    ] = WHOLE_TEXT.policy,
    passages: PassagesOption = False,
    passage_words: PassageWordsOption = None,
    passage_stride: PassageStrideOption = None,
    passage_limit: PassageLimitOption = None,
    user: UserOption = None,
    password: PasswordOption = None,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    token: TokenOption = None,
    sidecar_ca: SidecarCaOption = None,
    sidecar_tls: SidecarTlsOption = False,
    sidecar_name: SidecarNameOption = None,
    sidecar_cert: SidecarCertOption = None,
    sidecar_key: SidecarKeyOption = None,
) -> None:
    """Index each collection, run every profile on it, measure, and delete the index again."""
    from sidecar.evaluation import MEASURES, Plan, read_collections
    from sidecar.evaluation.table import comparison_table, effectiveness_table, index_table, latency_table
    from sidecar.search import load_profile

    rule = passage_rule(passages, passage_words, passage_stride, passage_limit)
    chosen = tuple(load_profile(name.strip()) for name in profiles.split(",") if name.strip())
    collections = read_collections(collection, split)
    plan = Plan(
        chosen,
        baseline=baseline,
        depth=depth,
        latency_queries=latency_queries,
        windows=Windows(long_texts),
        passages=rule,
        model=model[0] if model and sidecar != LOCAL else None,
        per_query=per_query,
    )
    files = _Files(json_, runs)
    files.check(collections, chosen)
    errors = Console(stderr=True)
    for one in collections:
        _warn_of_missing(one, errors)
    if depth < RECALL_DEPTH:
        _warn(f"with --depth {depth}, R@{RECALL_DEPTH} is the recall of the first {depth} hits.", errors)
    with ExitStack() as resources:
        url = _local_engine(resources, errors) if engine == LOCAL else engine
        target = _local_sidecar(resources, errors, model or []) if sidecar == LOCAL else sidecar
        cluster = ClusterAddress(url, user, password, ca, insecure)
        encoder = SidecarAddress(target, token)
        if sidecar != LOCAL:
            encoder = SidecarAddress(target, token, sidecar_ca, sidecar_tls, sidecar_name, sidecar_cert, sidecar_key)
        say = resources.enter_context(_progress(errors))
        report = asyncio.run(_until_terminated(_evaluate(collections, plan, cluster, encoder, say, files)))
    console = Console()
    for measure in MEASURES:
        console.print(effectiveness_table(report, measure))
    comparisons = comparison_table(report)
    if comparisons is not None:
        console.print(comparisons)
    console.print(latency_table(report))
    console.print(index_table(report))


def _warn_of_missing(collection: Collection, console: Console) -> None:
    if collection.missing_documents:
        _warn(
            f"{escape(collection.name)}: corpus.jsonl lacks"
            f" {collection.missing_documents:,} of the judged documents; for"
            f" {collection.queries_missing_relevant:,} of {len(collection.queries):,} queries"
            " one of them is relevant and counts as not found.",
            console,
        )


def _warn(sentence: str, console: Console) -> None:
    console.print(f"[bold yellow]warning:[/] {sentence}", highlight=False, soft_wrap=True)


async def _until_terminated(work: Coroutine[object, object, EvaluationReport]) -> EvaluationReport:
    """Do the work; SIGTERM cancels it, as Ctrl-C does, so that its index is deleted, and raises typer.Exit."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        # A second signal ends the process on the spot.
        loop.remove_signal_handler(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if terminated:
            raise typer.Exit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _evaluate(
    collections: Sequence[Collection],
    plan: Plan,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    say: Callable[[str, int, int], None],
    files: _Files,
) -> EvaluationReport:
    from sidecar.evaluation import EvaluationReport, Experiment, ModelReport, environment

    async with await cluster.connect() as engine, encoder.client() as client:
        served = await client.models()
        report = EvaluationReport(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=environment(),
            engine=f"{engine.info.distribution} {engine.info.version}",
            baseline=plan.compared_with,
            models=tuple(
                ModelReport(name=one.name, kind=one.kind, fingerprint=one.fingerprint, quantization=one.quantization)
                for one in served
            ),
            collections=(),
        )
        experiment = Experiment(engine, client, plan, say)
        for collection in collections:
            found = await experiment.evaluate(collection)
            report = report.model_copy(update={"collections": (*report.collections, found)})
            files.write(report, experiment)
    return report


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the results go. Written after each collection: hours of work must not hang on the last one."""

    report: Path | None
    runs: Path | None

    def check(self, collections: Sequence[Collection], profiles: Sequence[Profile]) -> None:
        """Raise EvaluationError, before anything is measured, where `write` would."""
        from sidecar.evaluation import EvaluationReport
        from sidecar.evaluation.run import check_columns, run_files

        if self.report is not None:
            EvaluationReport.check_writable(self.report)
        if self.runs is None:
            return
        for collection in collections:
            check_columns([*(one.id for one in collection.documents), *(one.id for one in collection.queries)])
        files = run_files(self.runs, [one.name for one in collections], [one.name for one in profiles])
        for folder in {path.parent for path in files.values()}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EvaluationError(f"The runs can't be written to {folder}: {error.strerror}.") from error

    def write(self, report: EvaluationReport, experiment: Experiment) -> None:
        from sidecar.evaluation import write_run
        from sidecar.evaluation.run import run_files

        if self.report is not None:
            report.write(self.report)
        if self.runs is not None:
            done = [one.collection for one in report.collections]
            files = run_files(self.runs, done, report.profiles)
            for (collection, profile), run in experiment.runs.items():
                write_run(run, files[collection, profile], profile)


def _local_engine(resources: ExitStack, console: Console) -> str:
    from sidecar.cli.progress import node_progress
    from sidecar.engine.local import LocalNode

    with node_progress(console) as progress:
        node = LocalNode(port=0, progress=progress).start()
    return resources.enter_context(node).url


def _local_sidecar(resources: ExitStack, console: Console, models: Sequence[str]) -> str:
    from sidecar.server.process import SidecarProcess

    with console.status("starting the sidecar"):
        return resources.enter_context(SidecarProcess(models)).target


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("evaluating", total=None)

        def say(line: str, done: int, total: int) -> None:
            bar.update(task, description=line, completed=done, total=total)

        yield say
