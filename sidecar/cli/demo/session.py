"""The demo from start to end: a local cluster, a sidecar, an index of docstrings, a few questions."""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Sequence

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from sidecar.cli.demo.corpus import standard_library_docstrings
from sidecar.cli.demo.questions import ask
from sidecar.cli.demo.render import show_corpus, show_question
from sidecar.cli.demo.report import Corpus, Report
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, IndexSpec, IndexSummary, Source, pick_encoder, set_up
from sidecar.cluster.frequencies import refresh_where_useful
from sidecar.domain import Document, Lane, ModelInfo, ModelKind
from sidecar.engine import Engine
from sidecar.errors import InvalidInput

__all__ = ["INDEX", "read_corpus", "run_session", "steps"]

INDEX = "python-docstrings"

SAMPLED_DOCUMENTS = 200

SLOW_MACHINE_SECONDS = 120.0


def steps(console: Console) -> Progress:
    """Return the progress display that every step of the demo is shown in."""
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        console=console,
    )


def read_corpus(progress: Progress, modules: Collection[str] = ()) -> list[Document]:
    """Read the docstrings of the standard library, or of these modules; raise InvalidInput where there are none."""
    task = progress.add_task("read the standard library's docstrings", total=None, state="")
    documents: list[Document] = []
    for document in standard_library_docstrings(modules):
        documents.append(document)
        if len(documents) % 100 == 0:
            progress.update(task, state=f"{len(documents):,}")
    if not documents:
        raise InvalidInput(
            f"The standard library has no docstrings in {', '.join(modules)}: name modules, like argparse,json,http.",
            field="modules",
        )
    progress.update(task, total=1, completed=1, state=f"{len(documents):,} documents")
    return documents


async def run_session(
    console: Console,
    engine_url: str,
    sidecar_target: str,
    documents: Sequence[Document],
    questions: Sequence[str],
    size: int,
    started: float,
) -> Report:
    """Index `documents`, ask `questions`, print what comes back and return it.

    `started` is the `time.monotonic()` at which the demo began. Raises what indexing and searching raise: a demo that
    hides a failure would show nothing.
    """
    ready = time.monotonic()
    async with await Engine.connect(engine_url) as engine, AsyncSidecarClient(sidecar_target) as sidecar:
        models = await sidecar.models()
        encoder = pick_encoder(models)
        await engine.delete_index(INDEX, missing_ok=True)
        await set_up(engine, IndexSpec(INDEX, encoder))
        corpus = await _index(console, engine, sidecar, encoder, documents)
        show_corpus(console, corpus)
        answered = []
        for text in questions:
            question = await ask(text, engine, sidecar, INDEX, size)
            show_question(console, question, size)
            answered.append(question)
        reranker = next(info.name for info in models if info.kind is ModelKind.CROSS_ENCODER)
        return Report(
            engine=f"{engine.info.distribution} {engine.info.version}",
            encoder=encoder.name,
            encoder_fingerprint=encoder.fingerprint,
            reranker=reranker,
            corpus=corpus,
            questions=tuple(answered),
            start_seconds=ready - started,
            total_seconds=time.monotonic() - started,
        )


async def _index(
    console: Console,
    engine: Engine,
    sidecar: AsyncSidecarClient,
    encoder: ModelInfo,
    documents: Sequence[Document],
) -> Corpus:
    lines = b"".join(orjson.dumps({"_id": document.id, **document.fields}) + b"\n" for document in documents)
    with steps(console) as progress, DeadLetters(None) as letters:
        task = progress.add_task("encode and index them", total=len(documents), state="")
        run = IndexRun(
            engine,
            sidecar,
            INDEX,
            Source(io.BytesIO(lines), "_id", len(lines)),
            letters,
            model=encoder.name,
            progress=lambda summary: _advance(progress, task, summary),
        )
        summary = await run.run()
        _advance(progress, task, summary)
    await refresh_where_useful(engine, sidecar, INDEX, model=encoder.name)
    await engine.force_merge(INDEX)
    return Corpus(
        documents=summary.written,
        seconds=summary.seconds,
        documents_per_second=summary.documents_per_second,
        index_bytes=await engine.index_size(INDEX),
        terms_per_document=await _terms_per_document(sidecar, encoder, documents),
    )


def _advance(progress: Progress, task: TaskID, summary: IndexSummary) -> None:
    progress.update(task, completed=summary.written, state=f"{summary.documents_per_second:,.0f}/s")


async def _terms_per_document(sidecar: AsyncSidecarClient, encoder: ModelInfo, documents: Sequence[Document]) -> float:
    """Return the mean number of terms over a sample spread evenly over the corpus."""
    sample = documents[:: max(1, len(documents) // SAMPLED_DOCUMENTS)]
    texts = [document.text(("title", "text")) for document in sample]
    result = await sidecar.encode(texts, model=encoder.name, lane=Lane.BULK, timeout=SLOW_MACHINE_SECONDS)
    return sum(len(encoding.vector) for encoding in result.encodings) / len(texts)
