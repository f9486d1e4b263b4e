"""Of what happens by the thousand, the first and then one now and then are written down, with the count of the rest."""

from __future__ import annotations

import threading

from sidecar.server.repeats import Repeats


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_has_a_line_and_the_rest_of_the_interval_is_counted() -> None:
    clock = Clock()
    repeats = Repeats(60.0, clock)
    assert repeats.worth_a_line("full") == 0
    for _ in range(61):
        clock.now += 0.5
        assert repeats.worth_a_line("full") is None
    clock.now += 60.0
    assert repeats.worth_a_line("full") == 61
    assert repeats.worth_a_line("full") is None


def test_after_a_quiet_time_there_is_a_line_at_once() -> None:
    clock = Clock()
    repeats = Repeats(60.0, clock)
    assert repeats.worth_a_line("full") == 0
    clock.now += 60.0
    assert repeats.worth_a_line("full") == 0


def test_one_thing_does_not_hide_another() -> None:
    repeats = Repeats(60.0, Clock())
    assert repeats.worth_a_line("full") == 0
    assert repeats.worth_a_line("broken") == 0
    assert repeats.worth_a_line("full") is None


def test_every_occurrence_is_counted_whichever_thread_it_is_in() -> None:
    clock = Clock()
    repeats = Repeats(60.0, clock)
    lines: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: lines.extend(repeats.worth_a_line("full") for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now += 60.0
    assert lines.count(0) == 1
    assert repeats.worth_a_line("full") == 4 * 500 - 1
