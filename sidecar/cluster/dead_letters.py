"""The file of documents that could not be written, each with where it came from and why."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sidecar.domain import JsonObject
from sidecar.engine.exact_json import to_json
from sidecar.errors import EngineError

__all__ = ["DeadLetters"]


class DeadLetters:
    """Writes one JSON object per line: `line`, `id`, `stage` (read, encode, write), `reason`, `message`, `document`.

    The file is made, or added to, with the first letter, and each one is on disk at once; `path` None only counts.
    `source` is the file that the line is in. `id` is null where the line could not be read, and `document` absent: it
    is mended in its file, and indexed again. `index` says where the documents were to go;
    letters of documents that are in the index already name it and their `routing`, and have neither line nor document.
    """

    def __init__(self, path: Path | None, index: str | None = None) -> None:
        self.path = path
        self._index = index
        self.count = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(
        self,
        line: int | None,
        document_id: str | None,
        stage: str,
        reason: str,
        message: str,
        document: JsonObject | None,
        *,
        index: str | None = None,
        routing: str | None = None,
        source: str | None = None,
    ) -> None:
        """Write one letter; raise EngineError where the file can't be written."""
        self.count += 1
        if self.path is None:
            return
        letter: dict[str, object] = {
            "line": line,
            "id": document_id,
            "stage": stage,
            "reason": reason,
            "message": message,
        }
        where = {"source": source, "index": index or self._index, "routing": routing, "document": document}
        letter |= {name: value for name, value in where.items() if value is not None}
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("ab")
            self._file.write(to_json(letter) + b"\n")
            self._file.flush()
        except OSError as error:
            raise EngineError(f"The dead-letter file {self.path} can't be written ({error.strerror}).") from error
