"""The parts that a corpus is read in, and the documents of one part; nothing here knows Ray."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from sidecar.cluster.packed import check_packing, is_packed
from sidecar.cluster.reading import Source, SourceFormat, file_of, open_source
from sidecar.cluster.records import MAX_LINE_BYTES, Record, Unreadable
from sidecar.domain import JsonObject
from sidecar.engine import Engine, ScanSpec, own_fields
from sidecar.engine.exact_json import to_json
from sidecar.errors import IndexNotPrepared, InvalidInput
from sidecar.scale.connecting import connect
from sidecar.scale.plan import FromFiles, FromIndex

__all__ = ["Part", "Row", "parts_of", "read_part"]

PARTS_PER_WORKER = 4
"""So many that a worker which got the shorter ones finds another."""

LEAST_PART_BYTES = 1_048_576

PAGE = 500
TAKEN = 256


@dataclass(frozen=True, slots=True)
class Part:
    """What one task reads: bytes `start` to `end` of a file's lines, a whole file, or one slice of an index."""

    path: Path | None = None
    start: int = 0
    end: int | None = None
    part: int = 0
    """Which of the slices of an index."""


@dataclass(frozen=True, slots=True)
class Row:
    """A document as JSON, or why a line is none; `line` is None where a file is read in several parts."""

    id: str | None
    document: bytes | None
    line: int | None = None
    reason: str = ""
    message: str = ""


def parts_of(source: FromFiles | FromIndex, workers: int = 1) -> list[Part]:
    """Cut a source into parts, several for each worker where they are not too small for that.

    A table and a packed file are one part. Raises InvalidInput for a file that is not there, or packed otherwise.
    """
    if isinstance(source, FromIndex):
        return [Part(part=number) for number in range(source.slices)]
    files = [file_of(path) for path in source.paths]
    for file in files:
        if not file.is_file():
            raise InvalidInput(f"{file} can't be read (no such file).", field="documents")
        check_packing(file)
    sizes = [file.stat().st_size for file in files]
    shared = max(LEAST_PART_BYTES, sum(sizes) // (PARTS_PER_WORKER * workers))
    part_bytes = min(source.part_bytes, shared)
    found: list[Part] = []
    for file, size in zip(files, sizes, strict=True):
        if _is_table(file) or is_packed(file) or size <= part_bytes:
            found.append(Part(file.absolute()))
        else:
            bounds = [*range(0, size, part_bytes), size]
            found += [Part(file.absolute(), start, end) for start, end in pairwise(bounds)]
    return found


def read_part(part: Part, source: FromFiles | FromIndex) -> Iterator[Row]:
    """Read one part's documents."""
    if isinstance(source, FromIndex):
        yield from _from_slice(part, source)
    elif part.path is not None and part.end is not None:
        yield from _from_range(part.path, part.start, part.end, source.id_field)
    elif part.path is not None:
        with open_source(part.path, source.id_field) as records:
            while taken := records.take(TAKEN):
                yield from map(_row, taken)


def _from_range(path: Path, start: int, end: int, id_field: str) -> Iterator[Row]:
    """Read the lines that begin within [start, end): a line belongs to the part in which its first byte lies."""
    with path.open("rb") as stream:
        first, behind = _next_line(stream, start), _next_line(stream, end)
        stream.seek(first)
        source = Source(io.BytesIO(stream.read(behind - first)), id_field, behind - first)
    while True:
        offset = first + source.position
        taken = source.take(1)
        if not taken:
            return
        row = _row(taken[0])
        where = f" (in {path.name}, from byte {offset} on)" if row.reason else ""
        yield Row(row.id, row.document, None, row.reason, row.message + where)


def _next_line(stream: IO[bytes], position: int) -> int:
    """Return where the first line begins that does not begin before `position`."""
    if not position:
        return 0
    stream.seek(position - 1)
    while piece := stream.readline(MAX_LINE_BYTES):
        if piece.endswith(b"\n"):
            break
    return stream.tell()


def _row(record: Record | Unreadable) -> Row:
    if isinstance(record, Unreadable):
        where = "" if record.source is None else f" (in {Path(record.source).name})"
        return Row(record.id, None, record.line, record.reason, record.message + where)
    return Row(record.id, to_json(record.fields), record.line)


def _from_slice(part: Part, source: FromIndex) -> Iterator[Row]:
    """Read one slice, page by page, from code that has no event loop."""
    with asyncio.Runner() as runner:
        pages = _pages(part, source)
        try:
            while (page := runner.run(anext(pages, None))) is not None:
                yield from page
        finally:
            runner.run(pages.aclose())


async def _pages(part: Part, source: FromIndex) -> AsyncGenerator[list[Row], None]:
    query: JsonObject = source.where or {"match_all": {}}
    async with await connect(source.cluster) as engine:
        ours = await _written_by_us(engine, source.index)
        spec = ScanSpec(source.index, query, ("*",), source.slices)
        async with engine.scan(spec) as scan, aclosing(scan.pages(part.part, lambda: PAGE)) as pages:
            async for page in pages:
                yield [
                    Row(one.id, to_json({key: value for key, value in one.source.items() if key not in ours}))
                    for one in page
                ]


async def _written_by_us(engine: Engine, index: str) -> frozenset[str]:
    """Return the fields that an earlier model filled; an index that was never set up has none."""
    try:
        return frozenset(own_fields(await engine.index_meta(index)))
    except IndexNotPrepared:
        return frozenset()


def _is_table(file: Path) -> bool:
    return file.suffix.removeprefix(".").lower() in {SourceFormat.CSV, SourceFormat.TSV, SourceFormat.PARQUET}
