"""`encode_corpus`: the parts of a corpus, an actor pool of encoders, and the sink, as one Ray Data pipeline."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sidecar.bundle import Bundle
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.domain import Pruning
from sidecar.engine import IndexMeta
from sidecar.engine.exact_json import read_json, to_json
from sidecar.errors import DocumentsNotWritten, InvalidInput, SidecarError
from sidecar.scale.columns import encoded_rows, encoded_table, rows
from sidecar.scale.connecting import connect
from sidecar.scale.encoder import CorpusEncoder
from sidecar.scale.plan import FromFiles, FromIndex, ScalePlan, ToIndex, ToParquet
from sidecar.scale.reading import Part, parts_of, read_part
from sidecar.scale.sinks import IndexSink, Letter, ParquetSink, Sink
from sidecar.scale.summary import ScaleSummary

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

__all__ = ["encode_corpus"]

READER_CPUS = 0.1
"""Reading and writing wait most of the time: they take next to nothing of what the encoders need."""

BLOCK_BYTES = 8_388_608
"""Documents that one worker gets at once, about."""

Progress = Callable[[ScaleSummary], None]


def encode_corpus(plan: ScalePlan, dead_letters: DeadLetters, progress: Progress | None = None) -> ScaleSummary:
    """Encode a whole corpus; the documents that could not be written go to the dead letters.

    Raises DocumentsNotWritten where there are such, FingerprintMismatch where the index was set up for another model,
    InvalidInput for a folder that is not empty, and what reading, encoding and writing raise on any machine.
    """
    bundle = Bundle.open(plan.bundle)
    meta: IndexMeta | None = None
    source_fields, pruning = plan.source_fields, None
    if isinstance(plan.sink, ToIndex):
        meta = asyncio.run(_record_of(plan.sink))
        meta.require_fingerprint(bundle.fingerprint, plan.sink.index)
        if meta.passages is not None:
            raise InvalidInput(
                f"{plan.sink.index} has passages, and a corpus is encoded with one vector per document: fill it by"
                " `sidecar index`, or encode into an index without passages.",
                field="index",
            )
        source_fields, pruning = meta.source_fields, meta.pruning
    elif plan.sink.folder.exists() and any(plan.sink.folder.iterdir()):
        raise InvalidInput(f"{plan.sink.folder} is not empty: name a new folder.", field="out")
    with _ray(plan):
        summary = _run(_pipeline(plan, source_fields, pruning, meta, bundle.fingerprint), dead_letters, progress)
    if summary.failed:
        where = f": they are in {dead_letters.path}." if dead_letters.path else "."
        raise DocumentsNotWritten(f"{summary.failed} of {summary.read} documents were not written{where}")
    return summary


async def _record_of(target: ToIndex) -> IndexMeta:
    async with await connect(target.cluster) as engine:
        return await engine.index_meta(target.index)


def _pipeline(
    plan: ScalePlan, source_fields: tuple[str, ...], pruning: Pruning | None, meta: IndexMeta | None, fingerprint: str
) -> Dataset:
    import ray.data

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = plan.workers or max(1, int(there.get("CPU", 1.0)) // plan.threads)
    parts = parts_of(plan.source, workers)
    # A block is one worker's: a table, which is one part, must not be one block.
    ray.data.DataContext.get_current().target_max_block_size = BLOCK_BYTES
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers)
    corpus = ray.data.from_items([_as_item(part) for part in parts], override_num_blocks=len(parts))
    read = corpus.flat_map(_Reader(plan.source), num_cpus=READER_CPUS)
    encoded = read.map_batches(
        _Encode,
        fn_constructor_args=(plan, source_fields, pruning),
        batch_size=plan.batch_documents,
        batch_format="pyarrow",
        compute=pool,
        num_cpus=plan.threads,
    )
    return encoded.map_batches(
        _Write,
        fn_constructor_args=(plan.sink, meta, fingerprint),
        batch_size=plan.batch_documents,
        batch_format="pyarrow",
        compute=pool,
        num_cpus=READER_CPUS,
    )


def _run(pipeline: Dataset, dead_letters: DeadLetters, progress: Progress | None) -> ScaleSummary:
    """Pull the pipeline through, one small row per written batch."""
    from ray.exceptions import RayTaskError

    began = time.monotonic()
    summary = ScaleSummary()
    try:
        for row in pipeline.iter_rows():
            summary = ScaleSummary(
                read=summary.read + row["read"],
                written=summary.written + row["written"],
                without_vector=summary.without_vector + row["without_vector"],
                truncated=summary.truncated + row["truncated"],
                failed=summary.failed + row["failed"],
                terms=summary.terms + row["terms"],
                encoding_seconds=summary.encoding_seconds + row["seconds"],
                seconds=time.monotonic() - began,
            )
            for letter in cast("list[dict[str, Any]]", read_json(row["letters"])):
                dead_letters.add(**letter)
            if progress is not None:
                progress(summary)
    except RayTaskError as error:
        cause = error.cause
        while cause is not None and not isinstance(cause, SidecarError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise cause from error
    return replace(summary, seconds=time.monotonic() - began)


class _Reader:
    """Reads one part; travels to the machine that reads it."""

    def __init__(self, source: FromFiles | FromIndex) -> None:
        self._source = source

    def __call__(self, item: dict[str, object]) -> Iterator[dict[str, object]]:
        for row in read_part(_from_item(item), self._source):
            yield asdict(row)


class _Encode:
    """One actor: loads the bundle once and encodes batch after batch."""

    def __init__(self, plan: ScalePlan, source_fields: tuple[str, ...], pruning: Pruning | None) -> None:
        self._encoder = CorpusEncoder(
            plan.bundle,
            source_fields,
            pruning=pruning,
            windows=plan.windows,
            threads=plan.threads,
            max_text_bytes=plan.max_text_bytes,
        )

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        began = time.monotonic()
        encoded = self._encoder.encode(rows(batch))
        return encoded_table(encoded, time.monotonic() - began)


class _Write:
    """One actor: writes encoded batches, and says in one row each what became of them."""

    def __init__(self, target: ToParquet | ToIndex, meta: IndexMeta | None, fingerprint: str) -> None:
        self._sink: Sink
        if isinstance(target, ToParquet):
            self._sink = ParquetSink(target.folder, fingerprint)
        elif meta is not None:
            self._sink = IndexSink(target, meta)
        else:
            raise AssertionError("An index has a record. This is a bug.")

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        encoded = encoded_rows(batch)
        kept = [row for row in encoded if not row.failed]
        letters = [Letter.of(row, row.stage, row.reason, row.message) for row in encoded if row.failed]
        outcomes = self._sink.write(kept)
        letters += [outcome for outcome in outcomes if outcome is not None]
        written = [row for row, outcome in zip(kept, outcomes, strict=True) if outcome is None]
        told = {
            "read": len(encoded),
            "written": len(written),
            "without_vector": sum(row.vector is None for row in written),
            "truncated": sum(row.truncated for row in written),
            "failed": len(letters),
            "terms": sum(len(row.vector) for row in written if row.vector is not None),
            "seconds": sum(batch["seconds"].to_pylist()),
            "letters": to_json([_as_letter(letter) for letter in letters]),
        }
        return pyarrow.Table.from_pylist([told])


def _as_letter(letter: Letter) -> dict[str, object]:
    return {
        "line": letter.line,
        "document_id": letter.id,
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.message,
        "document": letter.document,
    }


def _as_item(part: Part) -> dict[str, object]:
    return {"path": str(part.path or ""), "start": part.start, "end": part.end or 0, "part": part.part}


def _from_item(item: dict[str, object]) -> Part:
    path, end = str(item["path"]), int(str(item["end"]))
    return Part(Path(path) if path else None, int(str(item["start"])), end or None, int(str(item["part"])))


@contextmanager
def _ray(plan: ScalePlan) -> Iterator[None]:
    """Use the Ray that runs in this process already, or join a cluster, or start one on this machine and end it."""
    # Ray reports usage to its makers unless it is told not to, and tells much of its own plans.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    if ray.is_initialized():
        yield
        return
    # Of a cluster that runs already Ray takes the CPUs as they are.
    cpus = None if plan.address or not plan.workers else plan.workers * plan.threads + 1
    ray.init(
        address=plan.address, num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
