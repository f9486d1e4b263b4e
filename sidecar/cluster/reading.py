"""Documents to read: from JSON lines, tables, a BEIR folder, or standard input."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO

import orjson

from sidecar.cluster.packed import check_packing, is_packed, plain_name, unpacked
from sidecar.cluster.reading_tables import CsvSource, ParquetSource
from sidecar.cluster.records import MAX_LINE_BYTES, METADATA_ID, Record, RecordSource, Unreadable, record_of
from sidecar.cluster.waiting import endable
from sidecar.engine.exact_json import read_json
from sidecar.errors import InvalidInput

__all__ = [
    "Source",
    "SourceFormat",
    "file_of",
    "open_source",
    "open_sources",
]

STANDARD_INPUT = "-"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some editors put before UTF-8; in front of a later line where files with one were joined."""


class SourceFormat(StrEnum):
    """How documents are written down."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"


class Source:
    """Records of one stream of JSON lines. `size` in bytes is None where it is not known beforehand.

    `name` says where the records come from.
    """

    def __init__(self, stream: IO[bytes], id_field: str, size: int | None, name: str | None = None) -> None:
        self._stream = stream
        self._id_field = id_field
        self._name = name
        self.size = size
        self.position = 0
        self._line = 0

    def take(self, count: int) -> list[Record | Unreadable]:
        """Read up to `count` lines that are not blank; an empty list is the end."""
        taken: list[Record | Unreadable] = []
        while len(taken) < count:
            data = self._next_line()
            if data is None:
                break
            if isinstance(data, Unreadable):
                taken.append(data)
            elif data.strip():
                taken.append(self._parse(data))
        return taken

    def __iter__(self) -> Iterator[Record | Unreadable]:
        while taken := self.take(1):
            yield from taken

    def _next_line(self) -> bytes | Unreadable | None:
        data = self._stream.readline(MAX_LINE_BYTES)
        if not data:
            return None
        self._line += 1
        self.position += len(data)
        if len(data) < MAX_LINE_BYTES or data.endswith(b"\n"):
            return data.removeprefix(BYTE_ORDER_MARK)
        while rest := self._stream.readline(MAX_LINE_BYTES):
            self.position += len(rest)
            if rest.endswith(b"\n"):
                break
        return self._unreadable("LINE_TOO_LONG", f"The line has more than {MAX_LINE_BYTES} bytes.")

    def _parse(self, data: bytes) -> Record | Unreadable:
        try:
            document = read_json(data)
        except orjson.JSONDecodeError as error:
            # The message names a position and never quotes the line.
            return self._unreadable("MALFORMED_LINE", f"No valid JSON in UTF-8: {error.msg} at {error.pos}.")
        if not isinstance(document, dict):
            return self._unreadable("MALFORMED_LINE", "The line is no JSON object.")
        return record_of(self._line, document, self._id_field, self._name)

    def _unreadable(self, reason: str, message: str) -> Unreadable:
        return Unreadable(self._line, reason, message, source=self._name)


@contextmanager
def open_source(
    path: Path,
    id_field: str = METADATA_ID,
    kind: SourceFormat | None = None,
    ended: threading.Event | None = None,
) -> Iterator[RecordSource]:
    """Open a file, a folder in BEIR's layout (`corpus.jsonl`), or standard input (`-`). Files may be packed by gzip.

    `kind` None goes by the file's ending; what has none that is known is JSON lines. Once `ended` is set, nobody waits
    any more for what a pipe may bring.
    """
    file = file_of(path)
    check_packing(file, kind)
    kind = kind or _kind_of(plain_name(file))
    if str(path) == STANDARD_INPUT:
        if kind is SourceFormat.PARQUET:
            raise InvalidInput("Parquet is read from a file: its table of contents is at the end.", field="format")
        arriving = sys.stdin.buffer if ended is None else endable(sys.stdin.buffer, ended)
        with _lines_or_rows(arriving, id_field, None, kind, STANDARD_INPUT) as source:
            yield source
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InvalidInput(f"{file} can't be read ({error.strerror}).", field="documents") from error
    with stream:
        if kind is SourceFormat.PARQUET:
            with closing(ParquetSource(file, id_field)) as table:
                yield table
            return
        size = file.stat().st_size if file.is_file() else None
        arriving = stream if ended is None or size is not None else endable(stream, ended)
        if is_packed(file):
            # How much is in it is known at its end.
            arriving, size = unpacked(arriving, file, ended), None
        with _lines_or_rows(arriving, id_field, size, kind, str(file)) as source:
            yield source


@contextmanager
def open_sources(
    paths: Sequence[Path],
    id_field: str = METADATA_ID,
    kind: SourceFormat | None = None,
    ended: threading.Event | None = None,
) -> Iterator[RecordSource]:
    """Open several as if they were one, each when its turn comes; lines are counted in each of them anew."""
    missing = next((path for path in paths if str(path) != STANDARD_INPUT and not path.exists()), None)
    if missing is not None:
        raise InvalidInput(f"{missing} can't be read (no such file).", field="documents")
    for path in paths:
        check_packing(file_of(path), kind)
    if len(paths) == 1:
        with open_source(paths[0], id_field, kind, ended) as source:
            yield source
        return
    with ExitStack() as stack:
        yield _Chain(stack, [partial(open_source, path, id_field, kind, ended) for path in paths], _bytes_in(paths))


class _Chain:
    def __init__(
        self,
        stack: ExitStack,
        openers: Sequence[Callable[[], AbstractContextManager[RecordSource]]],
        size: int | None,
    ) -> None:
        self.size = size
        self._stack = stack
        self._openers = deque(openers)
        self._source: RecordSource | None = None
        self._behind = 0

    @property
    def position(self) -> int:
        return self._behind + (self._source.position if self._source is not None else 0)

    def take(self, count: int) -> list[Record | Unreadable]:
        while True:
            if self._source is not None:
                taken = self._source.take(count)
                if taken:
                    return taken
                self._behind += self._source.position
                self._source = None
                self._stack.pop_all().close()
            if not self._openers:
                return []
            self._source = self._stack.enter_context(self._openers.popleft()())


def file_of(path: Path) -> Path:
    """Return the file that is read where `path` is given: the corpus of a folder, packed where there is no other."""
    if not path.is_dir():
        return path
    plain, packed = path / "corpus.jsonl", path / "corpus.jsonl.gz"
    return packed if packed.is_file() and not plain.is_file() else plain


def _bytes_in(paths: Sequence[Path]) -> int | None:
    files = [file_of(path) for path in paths]
    known = all(file.is_file() and not is_packed(file) for file in files)
    return sum(file.stat().st_size for file in files) if known else None


def _kind_of(file: Path) -> SourceFormat:
    try:
        return SourceFormat(file.suffix.removeprefix(".").lower())
    except ValueError:
        return SourceFormat.JSONL


@contextmanager
def _lines_or_rows(
    stream: IO[bytes], id_field: str, size: int | None, kind: SourceFormat, name: str
) -> Iterator[RecordSource]:
    if kind is SourceFormat.JSONL:
        yield Source(stream, id_field, size, name)
        return
    with closing(CsvSource(stream, id_field, size, "\t" if kind is SourceFormat.TSV else ",", name)) as rows:
        yield rows
