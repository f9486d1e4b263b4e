"""Runs: what a system answered to every query, and TREC run files of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import EvaluationError

__all__ = ["Ranked", "Run", "check_columns", "read_run", "run_files", "write_run"]

_UNSAFE = re.compile(r"[\s/\\:]+")


class Ranked(NamedTuple):
    """One line of a run."""

    document: str
    score: float


Run = Mapping[str, Sequence[Ranked]]
"""By query id: documents in descending order of score. A query without answer has an empty list, or none."""


def write_run(run: Run, path: Path, tag: str) -> None:
    """Write a TREC run file: `query Q0 document rank score tag`, ranks from 1; white space in the tag becomes `-`.

    Raises EvaluationError for ids that would be several columns, and where the file can't be written.
    """
    check_columns([*run, *(line.document for ranking in run.values() for line in ranking)])
    column = "-".join(tag.split())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for query, ranking in run.items():
                for rank, line in enumerate(ranking, start=1):
                    file.write(f"{query} Q0 {line.document} {rank} {line.score:.9g} {column}\n")
    except OSError as error:
        raise EvaluationError(f"The run {path} can't be written: {error.strerror}.") from error


def check_columns(names: Iterable[str]) -> None:
    """Raise EvaluationError for an id with white space: between a run file's columns nothing else tells them apart."""
    wrong = next((name for name in names if not name or any(character.isspace() for character in name)), None)
    if wrong is not None:
        raise EvaluationError(
            f"The id {wrong!r} is no column of a TREC run file: it has white space, or nothing. Evaluate without runs,"
            " or give the collection other ids."
        )


def run_files(folder: Path, collections: Sequence[str], profiles: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Return the run file of each collection and profile: FOLDER/COLLECTION/PROFILE.trec, without slashes and spaces.

    Raises EvaluationError where two profiles would have one file.
    """
    names = {profile: f"{_UNSAFE.sub('-', profile)}.trec" for profile in profiles}
    if len(set(names.values())) < len(names):
        raise EvaluationError(f"Run files of two profiles would be one: {', '.join(sorted(names))}. Rename a profile.")
    return {
        (collection, profile): folder / collection / name
        for collection in collections
        for profile, name in names.items()
    }


def read_run(path: Path) -> Run:
    """Read a TREC run file, sorted by descending score, ties by rank as listed; raise EvaluationError."""
    found: dict[str, list[tuple[float, int, str]]] = {}
    seen: set[tuple[str, str]] = set()
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"The run {path} can't be read: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            # A tag with white space in it is no reason to refuse what others wrote.
            query, _, document, rank, score, _ = line.split(None, 5)
            entry = (-float(score), int(rank), document)
        except ValueError:
            raise EvaluationError(f"{path}, line {number}: six columns of a TREC run are expected.") from None
        if not math.isfinite(entry[0]):
            raise EvaluationError(f"{path}, line {number}: the score is no finite number.")
        if (query, document) in seen:
            raise EvaluationError(f"{path}, line {number}: {document!r} is there twice for {query!r}.")
        seen.add((query, document))
        found.setdefault(query, []).append(entry)
    return {
        query: [Ranked(document, -negative) for negative, _, document in sorted(entries)]
        for query, entries in found.items()
    }
