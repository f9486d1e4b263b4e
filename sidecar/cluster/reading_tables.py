"""Documents out of tables: rows of CSV and of Parquet, one document each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import IO, TYPE_CHECKING

from sidecar.cluster.records import MAX_LINE_BYTES, Record, Unreadable, record_of
from sidecar.domain import JsonValue
from sidecar.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CsvSource", "ParquetSource"]


class CsvSource:
    """Rows of comma-separated values under a header; every value is text, and an empty one is left out.

    `line` of a record is the line on which its row ends. A row that does not fit the header is unreadable. `name` says
    where the records come from.
    """

    def __init__(
        self, stream: IO[bytes], id_field: str, size: int | None, delimiter: str = ",", name: str | None = None
    ) -> None:
        # One process-wide limit; the module's own is 128 KiB, less than a long document.
        csv.field_size_limit(MAX_LINE_BYTES)
        self.size = size
        self._stream = stream
        self._id_field = id_field
        self._name = name
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._rows = csv.reader(self._text, delimiter=delimiter, strict=True)
        self._header = self._read_header()

    @property
    def position(self) -> int:
        """Bytes read so far; 0 where the stream can't tell."""
        return self._stream.tell() if self._stream.seekable() else 0

    def take(self, count: int) -> list[Record | Unreadable]:
        """Read up to `count` rows; an empty list is the end."""
        taken: list[Record | Unreadable] = []
        while len(taken) < count:
            try:
                row = next(self._rows, None)
            except csv.Error as error:
                taken.append(self._unreadable(f"No valid CSV: {error}."))
                continue
            if row is None:
                break
            if row:
                taken.append(self._parse(row))
        return taken

    def close(self) -> None:
        """Let go of the stream, which stays open: it belongs to who opened it."""
        self._text.detach()

    def _read_header(self) -> list[str]:
        try:
            header = next(self._rows, None)
        except csv.Error as error:
            raise InvalidInput(f"The header is no valid CSV: {error}.", field="documents") from error
        if header is None:
            return []
        if len(set(header)) != len(header) or "" in header:
            raise InvalidInput("Each column needs a name of its own in the header.", field="documents")
        if self._id_field not in header:
            raise InvalidInput(f"The header has no column {self._id_field}: name one by --id-field.", field="id_field")
        return header

    def _parse(self, row: list[str]) -> Record | Unreadable:
        if len(row) != len(self._header):
            return self._unreadable(f"The row has {len(row)} fields, the header {len(self._header)}.")
        if any("\udc80" <= character <= "\udcff" for value in row for character in value):
            return self._unreadable("The row is no valid UTF-8.")
        fields = {name: value for name, value in zip(self._header, row, strict=True) if value}
        return record_of(self._rows.line_num, fields, self._id_field, self._name)

    def _unreadable(self, message: str) -> Unreadable:
        return Unreadable(self._rows.line_num, "MALFORMED_LINE", message, source=self._name)


class ParquetSource:
    """Rows of a Parquet file, read in batches; `line` counts rows from 1. Nested columns stay nested."""

    def __init__(self, path: Path, id_field: str) -> None:
        import pyarrow
        from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidInput(f"{path} is no Parquet file that can be read.", field="documents") from error
        if id_field not in self._file.schema_arrow.names:
            raise InvalidInput(f"{path} has no column {id_field}: name one by --id-field.", field="id_field")
        self.size: int | None = path.stat().st_size
        self._id_field = id_field
        self._name = str(path)
        self._rows_in_all = max(self._file.metadata.num_rows, 1)
        self._line = 0
        self._rows = self._read()

    @property
    def position(self) -> int:
        """Bytes read so far, about: by the share of rows."""
        return int((self.size or 0) * self._line / self._rows_in_all)

    def take(self, count: int) -> list[Record | Unreadable]:
        """Read up to `count` rows; an empty list is the end. Raises InvalidInput where the file is damaged."""
        taken: list[Record | Unreadable] = []
        for row in self._rows:
            self._line += 1
            fields = {name: _plain(value) for name, value in row.items() if value is not None}
            taken.append(record_of(self._line, fields, self._id_field, self._name))
            if len(taken) == count:
                break
        return taken

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> Iterator[Mapping[str, object]]:
        import pyarrow

        try:
            for batch in self._file.iter_batches(batch_size=256):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidInput(f"The Parquet file is damaged after row {self._line}.", field="documents") from error


def _plain(value: object) -> JsonValue:
    """Return a value as JSON holds it; exact decimals become text, as no JSON number keeps them."""
    match value:
        case Decimal():
            return str(value)
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case str() | int() | float() | None:
            return value
        case _:
            # Dates and times have one text form; anything else is told apart by it, too.
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
