"""Documents from JSON lines: a file, a BEIR folder, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from sidecar.domain import JsonObject
from sidecar.errors import InvalidInput

__all__ = ["Record", "Source", "Unreadable", "open_source"]

MAX_LINE_BYTES = 67_108_864
"""A longer line is no document: it goes to the dead letters without being held in memory."""

METADATA_ID = "_id"
"""BEIR's name of the id; clusters refuse it inside a document."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document as it was read: `line` counts from 1."""

    line: int
    id: str
    fields: JsonObject


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that holds no document, and why."""

    line: int
    reason: str
    message: str
    id: str | None = None


class Source:
    """Records of one stream of JSON lines. `size` in bytes is None where it is not known beforehand."""

    def __init__(self, stream: IO[bytes], id_field: str, size: int | None) -> None:
        self._stream = stream
        self._id_field = id_field
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
            return data
        while rest := self._stream.readline(MAX_LINE_BYTES):
            self.position += len(rest)
            if rest.endswith(b"\n"):
                break
        return Unreadable(self._line, "LINE_TOO_LONG", f"The line has more than {MAX_LINE_BYTES} bytes.")

    def _parse(self, data: bytes) -> Record | Unreadable:
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            # The message names a position and never quotes the line.
            return Unreadable(self._line, "MALFORMED_LINE", f"No valid JSON in UTF-8: {error.msg} at {error.pos}.")
        if not isinstance(document, dict):
            return Unreadable(self._line, "MALFORMED_LINE", "The line is no JSON object.")
        given = document.get(self._id_field)
        if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
            return Unreadable(
                self._line, "MISSING_ID", f"The document has no {self._id_field} that is text or a number."
            )
        # Clusters refuse `_id` inside a document; an id field of the user's own is theirs to keep.
        document.pop(METADATA_ID, None)
        return Record(self._line, str(given), document)


@contextmanager
def open_source(path: Path, id_field: str = METADATA_ID) -> Iterator[Source]:
    """Open a JSON-lines file, a folder in BEIR's layout (`corpus.jsonl`), or standard input (`-`)."""
    if str(path) == "-":
        yield Source(sys.stdin.buffer, id_field, None)
        return
    file = path / "corpus.jsonl" if path.is_dir() else path
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InvalidInput(f"{file} can't be read ({error.strerror}).", field="documents") from error
    with stream:
        yield Source(stream, id_field, file.stat().st_size if file.is_file() else None)
