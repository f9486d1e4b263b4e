import io
import json
from importlib import import_module
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from benchmarks.errors import BenchmarkFailed
from benchmarks.results import Measured, Report, Unmeasured, ratio, to_result
from benchmarks.rows import GROUPS, ROWS, Bound, Goal, chosen_rows
from benchmarks.table import _margin, draw_chart, reasons, results_table

POSITIVE = st.lists(st.floats(0.001, 1_000.0), min_size=1, max_size=9)


def report(*results) -> Report:
    return Report(
        created="2026-01-01T00:00:00+00:00",
        machine={"processor": "Abacus", "cores": 2},
        versions={"onnxruntime": "1.0"},
        setup={},
        results=results,
        figures={},
    )


def row(name: str):
    return next(one for one in ROWS if one.name == name)


def test_every_row_has_a_name_of_its_own_and_a_module_that_measures_it():
    assert len({one.name for one in ROWS}) == len(ROWS)
    for group in GROUPS:
        assert callable(import_module(f"benchmarks.measures.{group}").measure)


def test_rows_of_a_group_stand_together():
    changes = sum(one.group != other.group for one, other in pairwise(ROWS))
    assert changes == len(GROUPS) - 1


def test_choosing_rows():
    assert chosen_rows(()) == ROWS
    assert {one.group for one in chosen_rows(("query",))} == {"query"}
    assert [one.name for one in chosen_rows(("soak", "query.grpc_p50"))] == ["query.grpc_p50", "soak.growth"]
    with pytest.raises(BenchmarkFailed, match="--list"):
        chosen_rows(("speed",))


@pytest.mark.parametrize(
    ("goal", "holding", "missing"),
    [
        (Goal(Bound.AT_LEAST, 3.0), (3.0, 4.0), (2.99,)),
        (Goal(Bound.AT_MOST, 3.0), (3.0, 2.0), (3.01,)),
        (Goal(Bound.BELOW, 1.0), (0.99,), (1.0, 2.0)),
    ],
)
def test_goals(goal, holding, missing):
    assert all(goal.holds(value) for value in holding)
    assert not any(goal.holds(value) for value in missing)


@given(POSITIVE)
def test_the_median_lies_within_and_the_spread_is_half_the_range(rounds):
    found = Measured.of(rounds)
    assert min(rounds) <= found.value <= max(rounds)
    assert found.spread == pytest.approx((max(rounds) - min(rounds)) / 2)


@given(POSITIVE, st.floats(0.1, 10.0))
def test_ratios_are_taken_round_by_round(rounds, factor):
    found = ratio([value * factor for value in rounds], rounds)
    assert found.value == pytest.approx(factor)
    assert found.spread == pytest.approx(0.0, abs=1e-9)


def test_what_was_not_measured_says_why_and_holds_nothing():
    result = to_result(row("encode.over_torch"), Unmeasured("torch is not here"))
    assert (result.value, result.holds, result.spread, result.note) == (None, None, None, "torch is not here")
    assert result.goal == ">= 5"


def test_the_report_is_json_with_the_promised_keys(tmp_path):
    made = report(
        to_result(row("encode.over_torch"), Measured(6.0, 0.5)),
        to_result(row("encode.documents"), Measured(100.0, 1.0)),
        to_result(row("soak.growth"), Unmeasured("too short")),
    )
    made.write(tmp_path / "deep" / "results.json")
    read = json.loads((tmp_path / "deep" / "results.json").read_text())
    assert {"machine", "versions", "results"} <= set(read)
    first = read["results"][0]
    assert {"name", "value", "goal", "holds", "spread", "unit"} <= set(first)
    assert (first["name"], first["value"], first["holds"]) == ("encode.over_torch", 6.0, True)
    assert read["results"][1]["holds"] is None


@pytest.mark.parametrize(
    ("name", "value", "margin"),
    [("encode.over_torch", 10.0, 2.0), ("query.grpc_p50", 3.0, 0.5), ("memory.of_best", 0.5, 2.0)],
)
def test_bars_to_the_right_of_the_line_hold(name, value, margin):
    result = to_result(row(name), Measured(value, 0.0))
    assert _margin(result) == pytest.approx(margin)
    assert result.holds == (margin > 1)


def test_the_chart_is_the_same_file_for_the_same_numbers(tmp_path):
    made = report(
        to_result(row("encode.over_torch"), Measured(6.0, 0.5)), to_result(row("query.grpc_p50"), Measured(2.0, 0.5))
    )
    texts = []
    for name in ("one.svg", "two.svg"):
        draw_chart(made, tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert texts[0].startswith("<?xml")
    assert "</svg>" in texts[0]


@pytest.mark.parametrize("width", [80, 110, 200])
def test_the_table_shows_every_row(width):
    made = report(*(to_result(one, Measured(1234.5, 67.8)) for one in ROWS))
    table = results_table(made, width)
    assert table.row_count == len(ROWS)
    printed = drawn(table, width)
    for one in ROWS:
        assert one.name in printed
        assert (one.meaning in printed) or width < 200


def test_a_row_is_one_line_where_there_is_no_room_for_meanings():
    made = report(*(to_result(one, Measured(1234.5, 67.8)) for one in ROWS))
    lines = drawn(results_table(made, 80), 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert len([line for line in lines if "1234" in line or "1235" in line]) == len(ROWS)
    assert len(lines) == len(ROWS) + 6, "title, frame, headings, caption"
    assert "sidecar bench --list" in lines[-1]


def test_what_could_not_be_measured_says_why():
    made = report(
        to_result(row("encode.over_torch"), Unmeasured("torch is not installed")),
        to_result(row("query.grpc_p50"), Measured(2.0, 0.5)),
    )
    assert reasons(made) == ("encode.over_torch: torch is not installed",)


def drawn(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    printed = console.file
    assert isinstance(printed, io.StringIO)
    return printed.getvalue()
