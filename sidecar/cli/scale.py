"""`sidecar encode-corpus`: encoding a whole corpus on many cores or machines, without a sidecar."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import ClusterAddress, with_addresses
from sidecar.cli.options import IdFieldOption, LongTextsOption, SlicesOption, SummaryJsonOption, one_name
from sidecar.cli.output import letters_path, print_json_line
from sidecar.domain import WHOLE_TEXT, Windows
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from sidecar.scale import FromFiles, FromIndex, ScaleSummary, ToIndex, ToParquet
    from sidecar.scale.plan import Cluster

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command("encode-corpus")(encode_corpus)


@with_addresses
def encode_corpus(
    documents: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON lines, CSV, TSV (also .gz) or Parquet; or a folder with corpus.jsonl (BEIR)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Bundle, by name or path; every machine has it there.")
    ] = None,
    from_index: Annotated[str | None, typer.Option(help="Read this index instead of files.")] = None,
    slices: SlicesOption = 8,
    out: Annotated[Path | None, typer.Option("--out", help="New folder for Parquet files.")] = None,
    index: Annotated[
        str | None, typer.Option("--index", callback=one_name, help="Index to write to; `sidecar setup` made it.")
    ] = None,
    source_field: Annotated[
        list[str] | None, typer.Option(help="Field whose text is encoded; default: the index's, or title and text.")
    ] = None,
    id_field: IdFieldOption = "_id",
    workers: Annotated[int, typer.Option(help="Encoders at work; 0: as many as there is room for.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of each encoder.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster, e.g. auto or ray://head:10001; default: this machine alone.")
    ] = None,
    long_texts: LongTextsOption = WHOLE_TEXT.policy,
    dead_letters: Annotated[
        Path | None, typer.Option(help="File for what can't be written. Default: dead-letters-corpus-TIME.jsonl")
    ] = None,
    as_json: SummaryJsonOption = False,
    *,
    cluster: ClusterAddress,
) -> None:
    """Encode a corpus with Ray Data into Parquet files or an index.

    Exit code 3: some are in the dead letters; 1: it failed, or nothing that was written has a text.
    """
    from sidecar.bundle import STARTER_SPARSE, find_bundle
    from sidecar.cluster import DeadLetters
    from sidecar.scale import ScalePlan
    from sidecar.scale import encode_corpus as encode
    from sidecar.scale.plan import Cluster

    target = Cluster(
        cluster.url,
        cluster.user,
        cluster.password,
        cluster.ca,
        not cluster.insecure,
        cluster.api_key,
        cluster.aws_region,
        cluster.aws_service,
    )
    plan = ScalePlan(
        _source(documents or [], from_index, slices, id_field, target),
        _sink(out, index, target),
        find_bundle(model or STARTER_SPARSE).absolute(),
        source_fields=tuple(source_field or ("title", "text")),
        workers=workers,
        threads=threads,
        windows=Windows(long_texts),
        address=ray_address,
    )
    console = Console(stderr=True)
    last: list[ScaleSummary] = []
    with DeadLetters(dead_letters or letters_path("corpus"), index) as letters:
        try:
            last.append(encode(plan, letters, last.append))
        finally:
            if last:
                _print(last[-1], as_json, console)
    _require_text(last[-1], plan.source_fields, index)


def _require_text(summary: ScaleSummary, source_fields: tuple[str, ...], index: str | None) -> None:
    if not summary.written or summary.without_vector < summary.written:
        return
    read = f"in {', '.join(source_fields)}" if index is None else f"in the fields that {index} was set up for"
    raise InvalidInput(
        f"None of the {summary.written} documents has a text {read}: they are written without vectors. Name the fields"
        f" of their text by --source-field{'' if index is None else ' of `sidecar setup`'}.",
        field="source_fields",
    )


def _source(
    documents: list[Path], from_index: str | None, slices: int, id_field: str, cluster: Cluster
) -> FromFiles | FromIndex:
    from sidecar.scale import FromFiles, FromIndex

    if bool(documents) == (from_index is not None):
        raise InvalidInput("Name files, or an index by --from-index.", field="documents")
    return FromIndex(cluster, from_index, slices) if from_index is not None else FromFiles(tuple(documents), id_field)


def _sink(out: Path | None, index: str | None, cluster: Cluster) -> ToParquet | ToIndex:
    from sidecar.scale import ToIndex, ToParquet

    if out is not None and index is None:
        return ToParquet(out.absolute())
    if index is not None and out is None:
        return ToIndex(cluster, index)
    raise InvalidInput("Say where to: --out FOLDER or --index NAME.", field="out")


def _print(summary: ScaleSummary, as_json: bool, console: Console) -> None:
    if as_json:
        figures = asdict(summary) | {
            "documents_per_second": round(summary.documents_per_second, 1),
            "documents_per_actor_second": round(summary.documents_per_actor_second, 1),
            "mean_terms": round(summary.mean_terms, 1),
        }
        print_json_line(figures)
        return
    console.print(
        f"read {summary.read}: written {summary.written} (without text {summary.without_vector}, truncated"
        f" {summary.truncated}), failed {summary.failed}; {summary.seconds:.1f} s,"
        f" {summary.documents_per_second:.0f} documents/s, {summary.documents_per_actor_second:.0f} per encoder,"
        f" {summary.mean_terms:.0f} terms each",
        highlight=False,
        soft_wrap=True,
    )
