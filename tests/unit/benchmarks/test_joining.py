"""Reports of several runs become one, and none of their rows is lost or mixed up."""

import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.joining import join
from benchmarks.results import Measured, Report, Unmeasured, to_result
from benchmarks.rows import ROWS

BY_NAME = {row.name: row for row in ROWS}


def report(created: str, found: dict[str, float | None], *, processor: str = "one", **figures: float) -> Report:
    return Report(
        created=created,
        machine={"processor": processor, "cores": 2, "load": 0.5},
        versions={"python": "3.11", created: "1"},
        setup={"rounds": 3},
        results=tuple(
            to_result(BY_NAME[name], Unmeasured("a peer died") if value is None else Measured(value, 0.1))
            for name, value in found.items()
        ),
        figures=figures,
    )


def test_rows_come_in_the_order_of_the_table_and_the_later_value_counts():
    first = report("a", {"rerank.over_torch": 3.0, "encode.over_torch": 6.0}, bare=1.0, old=2.0)
    second = report("b", {"rerank.over_torch": 4.5, "soak.growth": 1.0}, bare=3.0)
    joined = join([first, second])
    assert [one.name for one in joined.results] == ["encode.over_torch", "rerank.over_torch", "soak.growth"]
    assert [one.value for one in joined.results] == [6.0, 4.5, 1.0]
    assert joined.results[1].holds is True
    assert joined.figures == {"bare": 3.0, "old": 2.0}
    assert joined.created == "b"
    assert set(joined.versions) == {"python", "a", "b"}
    runs = joined.setup["runs"]
    assert [run["rows"] for run in runs] == [
        ["rerank.over_torch", "encode.over_torch"],
        ["rerank.over_torch", "soak.growth"],
    ]


def test_a_row_that_failed_later_keeps_its_value_and_one_that_never_came_its_reason():
    joined = join(
        [
            report("a", {"encode.over_fastembed": 28.0, "encode.over_naive": None}),
            report("b", {"encode.over_fastembed": None}),
        ]
    )
    assert {one.name: one.value for one in joined.results} == {
        "encode.over_fastembed": 28.0,
        "encode.over_naive": None,
    }
    assert joined.results[1].note == "a peer died"


def test_reports_of_two_machines_are_not_joined():
    with pytest.raises(BenchmarkFailed, match="different machines"):
        join([report("a", {}), report("b", {}, processor="another")])
    with pytest.raises(BenchmarkFailed):
        join([])
