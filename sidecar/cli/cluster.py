"""Commands of the group `cluster`: indexing documents."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sidecar.cli.connections import ClusterAddress, SidecarAddress, with_addresses
from sidecar.cli.options import (
    IdFieldOption,
    LongTextsOption,
    MaxTextBytesOption,
    ServedModelOption,
    SummaryJsonOption,
    one_name,
)
from sidecar.cli.output import letters_path, print_json_line
from sidecar.cli.running import StoppableSource, until_read
from sidecar.domain import WHOLE_TEXT, Windows
from sidecar.errors import DocumentsNotWritten, InvalidInput

if TYPE_CHECKING:
    from sidecar.cluster import IndexOptions, IndexRun, IndexSummary
    from sidecar.cluster.reading import SourceFormat

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("index")(index)


@with_addresses
def index(
    documents: Annotated[
        list[Path],
        typer.Argument(
            help="JSON lines, CSV, TSV (also .gz) or Parquet; a folder with corpus.jsonl (BEIR); or - (standard input)."
        ),
    ],
    index: Annotated[
        str, typer.Option("--index", callback=one_name, help="Index to write to; `sidecar setup` made it.")
    ],
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    model: ServedModelOption = None,
    id_field: IdFieldOption = "_id",
    kind: Annotated[
        str | None, typer.Option("--format", help="jsonl, csv, tsv or parquet; default: by the file's ending.")
    ] = None,
    long_texts: LongTextsOption = WHOLE_TEXT.policy,
    dead_letters: Annotated[
        Path | None, typer.Option(help="File for what can't be written. Default: dead-letters-INDEX-TIME.jsonl")
    ] = None,
    max_text_bytes: MaxTextBytesOption = 1_048_576,
    frequencies: Annotated[
        bool,
        typer.Option(help="Afterwards count the index's document frequencies, where the encoder's queries use IDF."),
    ] = True,
    as_json: SummaryJsonOption = False,
) -> None:
    """Encode documents and write them, with their vectors.

    Exit code 3: some are in the dead letters; 1: the run ended early, or nothing that was written has a text.
    """
    from sidecar.cluster import IndexOptions
    from sidecar.cluster.reading import open_sources

    letters = dead_letters or letters_path(index)
    options = IndexOptions(windows=Windows(long_texts), max_text_bytes=max_text_bytes)
    stopped = threading.Event()
    with open_sources(documents, id_field, _format(kind), stopped) as opened:
        source = StoppableSource(opened, stopped)
        asyncio.run(_index(source, index, model, options, letters, cluster, encoder, frequencies, as_json))


def _format(name: str | None) -> SourceFormat | None:
    from sidecar.cluster.reading import SourceFormat

    if name is not None and name not in list(SourceFormat):
        raise InvalidInput(f"There is no format {name}: {', '.join(SourceFormat)}.", field="format")
    return None if name is None else SourceFormat(name)


async def _index(
    source: StoppableSource,
    index: str,
    model: str | None,
    options: IndexOptions,
    letters: Path,
    cluster: ClusterAddress,
    encoder: SidecarAddress,
    frequencies: bool,
    as_json: bool,
) -> None:
    from sidecar.cli.progress import index_progress
    from sidecar.cluster import DeadLetters, IndexRun
    from sidecar.cluster.frequencies import refresh_where_useful

    console = Console(stderr=True)
    with DeadLetters(letters, index) as dead, index_progress(console, source.size) as show:
        async with await cluster.connect() as engine, encoder.client() as client:
            run = IndexRun(
                engine,
                client,
                index,
                source,
                dead,
                options,
                model=model,
                progress=lambda now: show(source.position, f"{now.written} written, {now.failed} failed"),
            )
            ended = False
            try:
                await until_read(run.run(), source)
                ended = True
                if frequencies:
                    await refresh_where_useful(engine, client, index, model=model)
            except DocumentsNotWritten as error:
                _require_text(run, f" {error.message}")
                raise
            finally:
                if ended or run.summary.read:
                    _print(run.summary, as_json, console)
            _require_text(run)


def _require_text(run: IndexRun, besides: str = "") -> None:
    reason = run.textless_because()
    if reason is not None:
        raise InvalidInput(
            f"{reason} They are written without vectors, and sparse search finds none of them. If their text is in"
            " another field, set the index up with that as --source-field: a new --index, or this one after `sidecar"
            f" teardown`.{besides}",
            field="source_fields",
        )


def _print(summary: IndexSummary, as_json: bool, console: Console) -> None:
    if as_json:
        figures = {
            "read": summary.read,
            "encoded": summary.encoded,
            "written": summary.written,
            "without_vector": summary.without_vector,
            "truncated": summary.truncated,
            "failed": summary.failed,
            "left": summary.left,
            "seconds": round(summary.seconds, 3),
            "documents_per_second": round(summary.documents_per_second, 1),
        }
        print_json_line(figures)
        return
    console.print(
        f"read {summary.read}, encoded {summary.encoded}, written {summary.written}"
        f" (without text {summary.without_vector}), truncated {summary.truncated}, failed {summary.failed},"
        f" left {summary.left}; {summary.seconds:.1f} s, {summary.documents_per_second:.0f} documents/s",
        highlight=False,
    )
