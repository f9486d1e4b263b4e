"""Runs: what a system answered to every query, and TREC run files of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import EvaluationError

__all__ = ["Ranked", "Run", "read_run", "write_run"]


class Ranked(NamedTuple):
    """One line of a run."""

    document: str
    score: float


Run = Mapping[str, Sequence[Ranked]]
"""By query id: documents in descending order of score. A query without answer has an empty list, or none."""


def write_run(run: Run, path: Path, tag: str) -> None:
    """Write a TREC run file: `query Q0 document rank score tag`, ranks from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for query, ranking in run.items():
            for rank, line in enumerate(ranking, start=1):
                file.write(f"{query} Q0 {line.document} {rank} {line.score:.9g} {tag}\n")


def read_run(path: Path) -> Run:
    """Read a TREC run file, sorted by descending score, ties by rank as listed; raise EvaluationError."""
    found: dict[str, list[tuple[float, int, str]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"The run {path} can't be read: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            query, _, document, rank, score, _ = line.split()
            entry = (-float(score), int(rank), document)
        except ValueError:
            raise EvaluationError(f"{path}, line {number}: six columns of a TREC run are expected.") from None
        if not math.isfinite(entry[0]):
            raise EvaluationError(f"{path}, line {number}: the score is no finite number.")
        found.setdefault(query, []).append(entry)
    return {
        query: [Ranked(document, -negative) for negative, _, document in sorted(entries)]
        for query, entries in found.items()
    }
