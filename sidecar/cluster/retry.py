"""`sidecar retry`: trying what is in a dead-letter file again, and leaving in it what fails again.

The letters that fail go to a second file, which takes the first one's place at the very end: a retry that is killed
leaves the file as it was, and what it wrote until then is written once more by the next one, under the same ids.
Letters that another run adds meanwhile (`sidecar reconcile --follow`) stay, and are not tried.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import orjson

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters, locked
from sidecar.cluster.index import IndexRun
from sidecar.cluster.index_summary import IndexOptions
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.cluster.records import Record, Unreadable
from sidecar.cluster.upkeep import ReconcileEvery
from sidecar.domain import JsonObject
from sidecar.engine import Engine, require_one_name
from sidecar.engine.exact_json import read_json
from sidecar.errors import DocumentsNotWritten, InvalidInput

__all__ = ["Letter", "LetterSource", "RetrySummary", "read_letters", "retry"]

IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. With a `document`, that is what is written; with an `id` alone, the document is in the index."""

    line: int | None
    id: str | None
    index: str | None
    document: JsonObject | None
    raw: bytes
    source: str | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Letter:
        """Read one line; what is no letter, or one of an unreadable line, has neither id nor document."""
        try:
            told = read_json(raw)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            return cls(None, None, None, None, raw)
        line, name, index, document, source = (told.get(key) for key in ("line", "id", "index", "document", "source"))
        if told.get("stage") == "read":
            name = document = None
        return cls(
            line if isinstance(line, int) else None,
            name if isinstance(name, str) and name else None,
            index if isinstance(index, str) and index else None,
            document if isinstance(document, dict) else None,
            raw,
            source if isinstance(source, str) else None,
        )


@dataclass(frozen=True, slots=True)
class RetrySummary:
    """`letters` were in the file, `resolved` are no longer, `failed` are in it again, `kept` can't be tried.

    A letter can't be tried if it holds no document and names none: its line of the source was unreadable. Such a line
    is mended in its file, and indexed again.
    """

    letters: int = 0
    resolved: int = 0
    failed: int = 0
    kept: int = 0


class LetterSource:
    """The documents of those letters that are for one index, up to the byte `end` of the file; None: its last one."""

    def __init__(self, path: Path, index: str, default: str | None, end: int | None = None) -> None:
        self.size: int | None = None
        self.position = 0
        self._records = _documents_for(path, end, index, default)

    def take(self, count: int) -> list[Record | Unreadable]:
        """Return up to `count` documents; an empty list is the end."""
        taken: list[Record | Unreadable] = []
        while len(taken) < count and (record := next(self._records, None)) is not None:
            taken.append(record)
        return taken

    def close(self) -> None:
        """Close the file."""
        self._records.close()


async def retry(
    engine: Engine,
    sidecar: AsyncSidecarClient,
    path: Path,
    *,
    index: str | None = None,
    model: str | None = None,
    writing: IndexOptions | None = None,
    reconciling: ReconcileOptions | None = None,
) -> RetrySummary:
    """Try every letter again; the file is gone where none is left.

    `index` is for letters that do not name theirs. Documents that `sidecar index` could not write are written whole,
    over whatever is there under their id by now; documents that are in an index already are reconciled. Raises
    InvalidInput where a letter's index is not known, and what IndexRun and ReconcileEvery raise where cluster or
    sidecar are gone: the file then stays as it was.
    """
    end = _size(path)
    count, kept, whole, stored = _survey(path, end, index)
    again = path.with_name(f"{path.name}.retrying")
    again.unlink(missing_ok=True)
    failed = 0
    try:
        for name in sorted(whole):
            with closing(LetterSource(path, name, index, end)) as source, DeadLetters(again, name) as letters:
                run = IndexRun(engine, sidecar, name, source, letters, writing, model=model)
                await _unless_partly(run)
                failed += letters.count
        for name in sorted(stored):
            with DeadLetters(again, name) as letters:
                for ids in _ids_of(path, end, name, index):
                    options = replace(reconciling or ReconcileOptions(), where={"ids": {"values": ids}})
                    await _unless_partly(ReconcileEvery(engine, sidecar, name, letters, options, model=model))
                failed += letters.count
        _keep(path, end, again)
        _put_in_place(path, end, again)
    except BaseException:
        again.unlink(missing_ok=True)
        raise
    return RetrySummary(count, count - kept - failed, failed, kept)


def read_letters(path: Path, end: int | None = None) -> Iterator[Letter]:
    """Yield a file's letters, those that begin before the byte `end`; raise InvalidInput where it can't be read."""
    position = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if end is not None and position >= end:
                    return
                position += len(line)
                if line.strip():
                    yield Letter.parse(line.rstrip(b"\n"))
    except OSError as error:
        raise InvalidInput(f"{path} can't be read ({error.strerror}).", field="dead_letters") from error


async def _unless_partly(run: IndexRun | ReconcileEvery) -> None:
    try:
        await run.run()
    except DocumentsNotWritten:
        # They are in the new file, which says it all.
        return


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file, locked(file):
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InvalidInput(f"{path} can't be read ({error.strerror}).", field="dead_letters") from error


def _survey(path: Path, end: int, default: str | None) -> tuple[int, int, set[str], set[str]]:
    """Return how many letters there are, how many can't be tried, and the indices of the others, by kind."""
    count = kept = 0
    whole: set[str] = set()
    stored: set[str] = set()
    for letter in read_letters(path, end):
        count += 1
        if letter.id is None:
            kept += 1
            continue
        (stored if letter.document is None else whole).add(_index_of(letter, default))
    return count, kept, whole, stored


def _index_of(letter: Letter, default: str | None) -> str:
    index = letter.index or default
    if index is None:
        raise InvalidInput("A letter does not name its index: give it by --index.", field="index")
    require_one_name(index)
    return index


def _documents_for(path: Path, end: int | None, index: str, default: str | None) -> Generator[Record, None, None]:
    for letter in read_letters(path, end):
        if letter.id is not None and letter.document is not None and _index_of(letter, default) == index:
            yield Record(letter.line or 0, letter.id, letter.document, letter.source)


def _ids_of(path: Path, end: int, index: str, default: str | None) -> Iterator[list[str]]:
    ids: list[str] = []
    for letter in read_letters(path, end):
        if letter.id is not None and letter.document is None and _index_of(letter, default) == index:
            ids.append(letter.id)
            if len(ids) == IDS_AT_ONCE:
                yield ids
                ids = []
    if ids:
        yield ids


def _keep(path: Path, end: int, again: Path) -> None:
    kept = (letter.raw + b"\n" for letter in read_letters(path, end) if letter.id is None)
    first = next(kept, None)
    if first is not None:
        with again.open("ab") as file:
            file.writelines(chain([first], kept))


def _put_in_place(path: Path, end: int, again: Path) -> None:
    """Let the file hold the letters in `again`, and those that were added behind `end`; none left: take it away."""
    with path.open("rb") as file, locked(file):
        if os.fstat(file.fileno()).st_size > end:
            file.seek(end)
            with again.open("ab") as kept:
                shutil.copyfileobj(file, kept)
        if again.exists():
            os.replace(again, path)
        else:
            path.unlink()
