"""What tuning found, as data: this is the JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict

from sidecar.errors import EvaluationError
from sidecar.evaluation.environment import Environment
from sidecar.evaluation.report import ModelReport
from sidecar.evaluation.significance import Comparison
from sidecar.evaluation.tuning.settings import DEPTH, AxisValue

__all__ = ["CurvePoint", "FoldChoice", "TuningReport"]

SIGNIFICANT = 0.05


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FoldChoice(_Frozen):
    """What the other folds chose for the `queries` queries of one fold."""

    queries: int
    setting: Mapping[str, AxisValue]


class CurvePoint(_Frozen):
    """The chosen setting with another value along one axis, on all queries.

    `difference` is from the chosen one, with its standard error.
    """

    value: AxisValue
    mean: float
    difference: float
    error: float


class TuningReport(_Frozen):
    """What was tuned on what, and what it is worth.

    Of the means, only `held_out` is of queries that did not choose; `chosen_mean` is of those that did, and flatters.
    `against_start` compares `held_out` with the start profile, query by query, and `error` is the standard error of its
    difference. `wrote` says whose values the profile has that was written: the `chosen` setting's or the `start`'s.
    `pairs` counts queries with documents that the reranker read, `models` those that this was measured with.
    """

    schema_version: int = 1
    created: str
    environment: Environment
    engine: str
    measured_on: str
    index: str | None = None
    split: str
    queries: int
    missing_documents: int
    queries_missing_relevant: int
    measure: str
    profile: str
    models: tuple[ModelReport, ...]
    settings: int
    pairs: int
    seed: int
    start: Mapping[str, AxisValue]
    chosen: Mapping[str, AxisValue]
    start_mean: float
    held_out_mean: float
    chosen_mean: float
    against_start: Comparison
    error: float
    folds: tuple[FoldChoice, ...]
    curves: Mapping[str, tuple[CurvePoint, ...]]
    wrote: str
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether another setting than the start profile's was chosen."""
        return self.chosen != self.start

    @property
    def beyond_chance(self) -> bool:
        """Whether the held-out gain is one, and is none by chance in 19 of 20 cases."""
        return self.against_start.difference > 0.0 and self.against_start.p_value < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """The outcome in plain words."""
        compared = self.against_start
        gain = f"{compared.difference:+.4f} ± {self.error:.4f} {self.measure}, p = {compared.p_value:.4f}"
        held_out = f"on {self.queries:,} queries that did not choose ({gain})"
        if not self.changed:
            return f"Nothing is better than {self.profile} as it is by more than a standard error; it stays as it is."
        if self.beyond_chance:
            return f"Choosing gains {held_out}: the chosen values are written.{self._cost}"
        written = "the chosen values are written all the same" if self.wrote == "chosen" else "its values are written"
        return (
            f"The gain is not beyond chance {held_out}. Take {self.profile} as it is, or judge more queries;"
            f" {written}.{self._cost}"
        )

    @property
    def _cost(self) -> str:
        before, after = self.start.get(DEPTH), self.chosen.get(DEPTH)
        if not isinstance(before, int) or not isinstance(after, int) or before == after:
            return ""
        cost = "at no loss that shows" if after < before else "which takes so much longer"
        return f" The chosen ones rerank {after} documents instead of {before}, {cost}."

    def write(self, path: Path) -> None:
        """Write the JSON file; raise EvaluationError where it can't be written."""
        data = {**self.model_dump(mode="json", exclude_none=True), "verdict": self.verdict}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise EvaluationError(f"The report {path} can't be written: {error.strerror}.") from error
