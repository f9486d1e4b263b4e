"""Joins the reports of several runs on one machine: `python -m benchmarks.joining OUT REPORT...`.

Some groups want the machine for half an hour; whoever measures them one by one gets one report and one chart all the
same. Of a row that was measured twice the later report's value counts. `setup` says which run each row is from.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkFailed
from benchmarks.results import Report, Result
from benchmarks.rows import ROWS
from benchmarks.table import draw_chart

__all__ = ["join"]


def join(reports: Sequence[Report]) -> Report:
    """Return one report with the rows of all, in the order of `ROWS`.

    Raises BenchmarkFailed where there is none, or where they are of different processors.
    """
    if not reports:
        raise BenchmarkFailed("There is no report to join.")
    if len({(report.machine["processor"], report.machine["cores"]) for report in reports}) > 1:
        raise BenchmarkFailed("The reports are of different machines; ratios of one don't belong beside the other's.")
    found: dict[str, Result] = {}
    runs: list[dict[str, object]] = []
    for report in reports:
        measured = {one.name: one for one in report.results if one.value is not None or one.name not in found}
        found |= measured
        runs.append(
            {
                "created": report.created,
                "load": report.machine.get("load"),
                "rows": [one.name for one in measured.values() if one.value is not None],
                "setup": report.setup,
            }
        )
    latest = reports[-1]
    return Report(
        created=latest.created,
        machine={name: value for name, value in latest.machine.items() if name != "load"},
        versions={name: version for report in reports for name, version in report.versions.items()},
        setup={"runs": runs},
        results=tuple(found[row.name] for row in ROWS if row.name in found),
        figures={name: value for report in reports for name, value in report.figures.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for results.json and results.svg")
    parser.add_argument("reports", type=Path, nargs="+", help="results.json of each run, the latest last")
    given = parser.parse_args()
    joined = join([Report.model_validate_json(path.read_bytes()) for path in given.reports])
    joined.write(given.out / "results.json")
    draw_chart(joined, given.out / "results.svg")


if __name__ == "__main__":
    main()
