"""The file of documents that could not be written, each with where it came from and why."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sidecar.domain import JsonObject
from sidecar.engine.exact_json import to_json
from sidecar.errors import EngineError

__all__ = ["DeadLetters", "locked"]

REOPENED = 10
"""How often a letter looks for the file that is called so by now."""


@contextmanager
def locked(file: IO[bytes]) -> Iterator[None]:
    """Keep others that add letters to this file, or put another one in its place, waiting for the block.

    Where the file system has no locks, nobody waits.
    """
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


class DeadLetters:
    """Writes one JSON object per line: `line`, `id`, `stage` (read, encode, write), `reason`, `message`, `document`.

    The file is made, or added to, with the first letter, and each one is on disk at once; `path` None only counts.
    Where another file has taken its place meanwhile (`sidecar retry` does that), letters go on in that one.

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
            self._append(self.path, to_json(letter) + b"\n")
        except OSError as error:
            raise EngineError(f"The dead-letter file {self.path} can't be written ({error.strerror}).") from error

    def _append(self, path: Path, line: bytes) -> None:
        for _ in range(REOPENED):
            opened = self._file is None
            if self._file is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("ab")
            with locked(self._file):
                if _is_at(path, self._file):
                    # An editor may have left the last letter without the end of its line.
                    self._file.write(b"\n" + line if opened and not _ends_with_a_line(path) else line)
                    self._file.flush()
                    return
            self._file.close()
            self._file = None
        raise OSError(errno.EBUSY, "others put files in its place all the time")


def _ends_with_a_line(path: Path) -> bool:
    """Whether a file is empty, no ordinary one, or ends as one of lines does."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Whether an open file is the one that is called so by now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
