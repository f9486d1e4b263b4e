"""Where encoded documents go: Parquet files, or the search cluster. Nothing here knows Ray."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sidecar.cluster.documents import source_text, write_action
from sidecar.domain import JsonObject, as_object
from sidecar.engine import BulkAction, BulkItem, IndexMeta, dialect_named
from sidecar.engine.exact_json import read_json
from sidecar.errors import EngineUnavailable, IndexNotFound, InvalidInput, wire_error
from sidecar.scale.columns import published_table
from sidecar.scale.connecting import connect
from sidecar.scale.encoder import EncodedRow
from sidecar.scale.plan import ToIndex

__all__ = ["IndexSink", "Letter", "ParquetSink", "Sink"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A document that was not written, as the dead letters have it."""

    line: int | None
    id: str | None
    stage: str
    reason: str
    message: str
    document: JsonObject | None

    @classmethod
    def of(cls, row: EncodedRow, stage: str, reason: str, message: str) -> Letter:
        """Return the letter of a row."""
        document: JsonObject | None = None if row.document is None else as_object(read_json(row.document))
        return cls(row.line, row.id, stage, reason, message, document)


class Sink(Protocol):
    """Takes rows that were encoded; says of each, in their order, that it was written (None), or why it was not."""

    def write(self, rows: Sequence[EncodedRow]) -> list[Letter | None]: ...


class ParquetSink:
    """One file per batch, named after the ids in it: a batch that is done twice is written once."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint

    def write(self, rows: Sequence[EncodedRow]) -> list[Letter | None]:
        """Write whole files or none; raise OSError where the folder can't be written."""
        from pyarrow import parquet

        if rows:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256("\0".join(row.id or "" for row in rows).encode()).hexdigest()[:24]
            partial = self._folder / f".{name}.{os.getpid()}.partial"
            parquet.write_table(published_table(rows, self._fingerprint), partial, compression="zstd")
            partial.rename(self._folder / f"part-{name}.parquet")
        return [None] * len(rows)


class IndexSink:
    """Whole documents by bulk; each machine has a connection of its own."""

    def __init__(self, target: ToIndex, meta: IndexMeta) -> None:
        self._target, self._meta = target, meta
        self._dialect = dialect_named(meta.dialect)
        self._runner = asyncio.Runner()
        self._engine = self._runner.run(connect(target.cluster))

    def write(self, rows: Sequence[EncodedRow]) -> list[Letter | None]:
        """Write documents; raise EngineUnavailable where the cluster is gone for good, or IndexNotFound."""
        outcomes: list[Letter | None] = [None] * len(rows)
        actions: dict[int, BulkAction] = {}
        for place, row in enumerate(rows):
            try:
                actions[place] = self._action(row)
            except InvalidInput as error:
                outcomes[place] = Letter.of(row, "encode", wire_error(error).reason, error.message)
        items = self._runner.run(self._engine.bulk(list(actions.values())))
        self._require_index(items)
        for place, item in zip(actions, items, strict=True):
            if not item.written:
                outcomes[place] = Letter.of(rows[place], "write", item.error_type or "UNKNOWN", item.reason)
        self._require_cluster(items)
        return outcomes

    def _action(self, row: EncodedRow) -> BulkAction:
        fields = as_object(read_json(row.document or b"{}"))
        text = source_text(row.id or "", fields, self._meta)
        return write_action(self._target.index, row.id or "", fields, text, row.vector, self._meta, self._dialect)

    def _require_index(self, items: Sequence[BulkItem]) -> None:
        if any(item.index_missing for item in items):
            raise IndexNotFound(
                f"{self._target.index} is not there any more, and is not made anew by what is written to it. Set it up,"
                " and run the same command again."
            )

    @staticmethod
    def _require_cluster(items: Sequence[BulkItem]) -> None:
        if any(item.unreachable for item in items):
            raise EngineUnavailable(
                "The cluster went away. Run the same command again when it is back: ids are kept, nothing is written"
                " twice."
            )
