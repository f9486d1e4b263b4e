"""How fast documents may be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.reconcile.pace import LONGEST_PAUSE, Limits, Pace
from sidecar.engine import ClusterLoad
from sidecar.errors import InvalidInput


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.floats(0.5, 5_000.0),
    st.lists(st.tuples(st.integers(1, 200), st.floats(0.0, 3.0)), min_size=1, max_size=40),
)
def test_the_rate_is_never_passed(rate: float, steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    pace = Pace(Limits(rate=rate), clock)
    begun = clock.now
    written = 0
    for documents, work in steps:
        clock.now += pace.wait_by_rate(documents)
        assert written <= rate * (clock.now - begun) + 1e-6
        written += documents
        clock.now += work


def test_a_rate_does_not_save_up_for_a_burst() -> None:
    clock = Clock()
    pace = Pace(Limits(rate=10.0), clock)
    clock.now += 1_000.0
    assert pace.wait_by_rate(10) == 0.0
    assert pace.wait_by_rate(10) == pytest.approx(1.0)


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(Limits(), Clock())
    assert sum(pace.wait_by_rate(10_000) for _ in range(100)) == 0.0
    assert pace.pause == 0.0


def test_refusals_brake_and_ease() -> None:
    pace = Pace(Limits(), Clock())
    pauses = []
    for _ in range(12):
        pace.answered(overloaded=True)
        pauses.append(pace.pause)
    assert pauses == sorted(pauses)
    assert pauses[0] > 0.0
    assert pauses[-1] == LONGEST_PAUSE
    for _ in range(12):
        pace.answered(overloaded=False)
    assert pace.pause == 0.0


@pytest.mark.parametrize(
    "load",
    [ClusterLoad(write_queue=100), ClusterLoad(heap_percent=90), ClusterLoad(write_queue=5_000, heap_percent=99)],
)
def test_busy_nodes_brake_whatever_the_answers_say(load: ClusterLoad) -> None:
    pace = Pace(Limits(), Clock())
    pace.observed(load)
    pace.answered(overloaded=False)
    assert pace.pause > 0.0
    pace.observed(ClusterLoad(write_queue=3, heap_percent=60))
    assert pace.pause == 0.0


def test_rejections_count_from_the_first_look_on() -> None:
    pace = Pace(Limits(), Clock())
    pace.observed(ClusterLoad(write_rejected=70))
    assert pace.pause == 0.0
    pace.observed(ClusterLoad(write_rejected=71))
    assert pace.pause > 0.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_is_above_zero(rate: float) -> None:
    with pytest.raises(InvalidInput):
        Limits(rate=rate)


def test_load_is_that_of_the_worst_node() -> None:
    def node(queue: int, rejected: int, heap: int) -> dict[str, object]:
        return {
            "jvm": {"mem": {"heap_used_percent": heap}},
            "thread_pool": {"write": {"queue": queue, "rejected": rejected}},
        }

    answer = {"nodes": {"a": node(3, 1, 80), "b": node(9, 2, 40), "coordinating": {"jvm": {}}}}
    assert ClusterLoad.parse(answer) == ClusterLoad(write_queue=9, write_rejected=3, heap_percent=80)
    assert ClusterLoad.parse({}) == ClusterLoad()
