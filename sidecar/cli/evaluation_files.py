"""The files that `sidecar evaluate` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import EvaluationError

if TYPE_CHECKING:
    from sidecar.evaluation import EvaluationReport, Experiment
    from sidecar.search import Profile

__all__ = ["EvaluationFiles"]


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """Where the results go. Written after each collection: hours of work must not hang on the last one."""

    report: Path | None
    runs: Path | None

    def check(self, measured_on: Sequence[str], ids: Iterable[str], profiles: Sequence[Profile]) -> None:
        """Raise EvaluationError, before anything is measured, where `write` would.

        `measured_on`: names of collections or of an index; `ids`: those of their queries, and of documents.
        """
        from sidecar.evaluation import EvaluationReport
        from sidecar.evaluation.run import check_columns, run_files

        if self.report is not None:
            EvaluationReport.check_writable(self.report)
        if self.runs is None:
            return
        check_columns(ids)
        files = run_files(self.runs, measured_on, [one.name for one in profiles])
        for folder in {path.parent for path in files.values()}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EvaluationError(f"The runs can't be written to {folder}: {error.strerror}.") from error

    def write(self, report: EvaluationReport, experiment: Experiment) -> None:
        """Write what was found until now."""
        from sidecar.evaluation import write_run
        from sidecar.evaluation.run import run_files

        if self.report is not None:
            report.write(self.report)
        if self.runs is not None:
            done = [one.collection for one in report.collections]
            files = run_files(self.runs, done, report.profiles)
            for (collection, profile), run in experiment.runs.items():
                write_run(run, files[collection, profile], profile)
