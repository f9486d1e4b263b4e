"""What came out: one result per row, with the machine and the versions it was measured with."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.rows import Row

__all__ = ["Measured", "Report", "Result", "Unmeasured", "medians", "ratio", "to_result"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's value: the median of its rounds, and half of the distance from the lowest to the highest of them."""

    value: float
    spread: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Measured:
        """Summarise one value per round."""
        return cls(statistics.median(rounds), (max(rounds) - min(rounds)) / 2)


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Why a row has no value here."""

    reason: str


class Result(BaseModel):
    """One row. `value`, `spread` and `holds` are None where it could not be measured; `note` says why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float | None
    goal: str | None
    holds: bool | None
    spread: float | None
    unit: str
    meaning: str
    note: str = ""


class Report(BaseModel):
    """One run of the benchmark. `setup` says what was measured: texts, lengths, batches, rounds, models, peers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created: str
    machine: Mapping[str, str | int | float]
    versions: Mapping[str, str]
    setup: Mapping[str, object]
    results: tuple[Result, ...]
    figures: Mapping[str, float]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def to_result(row: Row, found: Measured | Unmeasured) -> Result:
    """Hold what was found against the row's goal."""
    goal = None if row.goal is None else str(row.goal)
    if isinstance(found, Unmeasured):
        return Result(
            name=row.name,
            value=None,
            goal=goal,
            holds=None,
            spread=None,
            unit=row.unit,
            meaning=row.meaning,
            note=found.reason,
        )
    return Result(
        name=row.name,
        value=found.value,
        goal=goal,
        holds=None if row.goal is None else row.goal.holds(found.value),
        spread=found.spread,
        unit=row.unit,
        meaning=row.meaning,
    )


def ratio(upper: Sequence[float], lower: Sequence[float]) -> Measured:
    """Return upper / lower, round by round: what disturbs the machine for a while disturbs both of a round."""
    return Measured.of([above / below for above, below in zip(upper, lower, strict=True)])


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each contender's median, for the report's figures."""
    return {name: statistics.median(values) for name, values in rounds.items()}
