"""Deadlines, and what a call that ignores them becomes."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import DeadlineExceeded, NotReady, Overloaded, SidecarUnavailable
from sidecar.search.degradation import Deadline, Degraded, degraded_by, within
from sidecar.search.text import MAX_QUERY_BYTES, check_page, check_query


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SidecarUnavailable("gone"), "SIDECAR_UNAVAILABLE"),
        (Overloaded("full", retry_after=1.0), "OVERLOADED"),
        (DeadlineExceeded("late"), "DEADLINE_EXCEEDED"),
        (NotReady("draining"), "NOT_READY"),
    ],
)
def test_the_reason_is_the_one_of_the_wire(error, reason) -> None:
    assert degraded_by("encode", error) == Degraded("encode", reason)


async def test_a_call_that_ignores_its_timeout_is_abandoned() -> None:
    cancelled = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await within(0.05, stubborn())
    assert time.monotonic() - started < 1.0
    assert cancelled.is_set()


async def test_a_call_in_time_is_left_alone() -> None:
    async def quick() -> int:
        return 7

    assert await within(1.0, quick()) == 7


def test_a_deadline_is_shared_by_the_stages() -> None:
    deadline = Deadline(0.2)
    assert deadline.left(0.05) == 0.05
    assert 0.1 < deadline.left() <= 0.2
    time.sleep(0.25)
    assert deadline.left() == deadline.left(5.0) == 0.001


def test_the_longest_query_that_is_searched_for() -> None:
    check_query("é" * (MAX_QUERY_BYTES // 2))
    check_page(1, 0)
    check_page(10, 9_990)


@given(st.floats(0.0, 100.0), st.floats(0.001, 100.0))
def test_a_stage_that_can_be_done_without_leaves_half_of_the_time(seconds: float, limit: float) -> None:
    deadline = Deadline(seconds)
    assert 0.0 < deadline.half(limit) <= limit
    assert deadline.half(limit) <= max(seconds, 0.001) / 2
