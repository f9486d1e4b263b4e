"""What is read, whatever it is read from: documents with their ids, and lines that hold none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.domain import JsonObject

__all__ = ["MAX_LINE_BYTES", "METADATA_ID", "Record", "RecordSource", "Unreadable", "record_of"]

MAX_LINE_BYTES = 67_108_864
"""A longer line is no document: it goes to the dead letters without being held in memory."""

METADATA_ID = "_id"
"""BEIR's name of the id; clusters refuse it inside a document."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document as it was read: `line` counts from 1 in the file `source` (None: it has no name)."""

    line: int
    id: str
    fields: JsonObject
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that holds no document, and why; `line` and `source` as in `Record`."""

    line: int
    reason: str
    message: str
    id: str | None = None
    source: str | None = None


class RecordSource(Protocol):
    """Documents to read, in order; `position` of `size` bytes are behind (None: nobody knows how many there are)."""

    @property
    def size(self) -> int | None: ...

    @property
    def position(self) -> int: ...

    def take(self, count: int) -> list[Record | Unreadable]:
        """Read up to `count` documents; an empty list is the end."""


def record_of(line: int, document: JsonObject, id_field: str, source: str | None = None) -> Record | Unreadable:
    """Return the record of a document, or why it is none."""
    given = document.get(id_field)
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
        message = f"The document has no {id_field} that is text or a whole number."
        return Unreadable(line, "MISSING_ID", message, source=source)
    # Clusters refuse `_id` inside a document; an id field of the user's own is theirs to keep.
    return Record(line, str(given), {name: value for name, value in document.items() if name != METADATA_ID}, source)
