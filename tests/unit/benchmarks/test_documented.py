"""docs/benchmarks.md shows what benchmarks/results*.json hold: every row, its value, its spread, its goal."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.results import Report, Result

REPOSITORY = Path(__file__).parents[3]
REPORT = Report.model_validate_json((REPOSITORY / "benchmarks" / "results.json").read_bytes())
AVX2 = Report.model_validate_json((REPOSITORY / "benchmarks" / "results-avx2.json").read_bytes())
ROW = re.compile(r"^\| `(?P<name>[\w.]+)` \| (?P<cells>.*)\|$", re.MULTILINE)
COLUMNS = 4
"""What, value, goal, holds, behind the name."""
BRIEF = 3
"""The same without what it is: the rows of another processor."""
SPREAD_OFF_BY = 0.06
"""A spread is written with two digits at most: .0095 as 0.009 or 0.01."""


def documented(columns: int = COLUMNS) -> dict[str, list[str]]:
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = [(match["name"], [cell.strip() for cell in match["cells"].split("|")]) for match in ROW.finditer(text)]
    return {name: cells for name, cells in rows if len(cells) == columns}


def test_every_measured_row_is_there_once_and_no_other() -> None:
    assert sorted(documented()) == sorted(result.name for result in REPORT.results)


def test_values_goals_and_verdicts_are_those_of_the_report() -> None:
    for result in REPORT.results:
        meaning, value, goal, holds = documented()[result.name]
        assert meaning == result.meaning, result.name
        assert goal == (result.goal or ""), result.name
        assert holds.strip("*").partition(",")[0] == {None: "", True: "yes", False: "no"}[result.holds], result.name
        assert_shown(result, value)


def test_the_rows_of_the_other_processor_are_those_of_its_report() -> None:
    shown = documented(BRIEF)
    assert sorted(shown) == sorted(result.name for result in AVX2.results if result.value is not None)
    for result in AVX2.results:
        if result.value is None:
            continue
        value, goal, holds = shown[result.name]
        assert goal == (result.goal or ""), result.name
        assert holds.strip("*") == {None: "", True: "yes", False: "no"}[result.holds], result.name
        assert_shown(result, value)


def assert_shown(result: Result, shown: str) -> None:
    """The value to three digits, with its unit, and the spread to two."""
    assert result.value is not None
    number, _, rest = shown.partition(" ")
    assert float(number) == float(f"{result.value:.3g}"), result.name
    spread, unit = re.fullmatch(r"(?:± (\S+))? ?(.*)", rest).groups()  # type: ignore[union-attr]
    assert unit == ("" if result.unit in {"ratio", "share"} else result.unit), result.name
    if result.spread:
        assert abs(float(spread) / result.spread - 1) < SPREAD_OFF_BY, result.name
    else:
        assert spread is None, result.name
