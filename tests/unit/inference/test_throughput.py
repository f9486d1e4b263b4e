import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import DeadlineExceeded, Overloaded
from sidecar.inference.throughput import (
    FRESH_SECONDS,
    LONGEST_RETRY,
    SHORTEST_RETRY,
    UNMEASURED_RATE,
    Throughput,
    retry_seconds,
)

POSITIVE = st.floats(0.01, 1_000.0)


def test_unmeasured_it_has_a_rate_and_refuses_nothing():
    fresh = Throughput()
    assert fresh.rate == UNMEASURED_RATE
    fresh.check_deadline(0.001, own=1_000_000, ahead=1_000_000, model="m")


def test_the_rate_follows_what_is_measured():
    found = Throughput()
    for _ in range(100):
        found.record(1_000, 1.0)
    assert found.rate == pytest.approx(1_000)
    for _ in range(100):
        found.record(1_000, 4.0)
    assert found.rate == pytest.approx(250, rel=1e-3)


def test_a_run_of_no_time_is_no_division_by_zero():
    found = Throughput()
    found.record(10, 0.0)
    assert found.rate > 0


def test_a_run_that_was_stopped_for_an_hour_counts_as_four():
    found = Throughput()
    for _ in range(20):
        found.record(1_000, 1.0)
    before = found.rate
    found.record(1_000, 3_600.0)
    assert before / 2 < found.rate < before


def test_a_machine_that_got_slow_for_good_is_found_out():
    found = Throughput()
    for _ in range(20):
        found.record(1_000, 1.0)
    for _ in range(60):
        found.record(1_000, 50.0)
    assert found.rate == pytest.approx(20, rel=0.1)


def test_what_is_doubted_keeps_its_rate_until_the_next_run():
    found = Throughput(tokens=10_000, seconds=1_000.0)
    found.doubt()
    assert found.rate == pytest.approx(10)
    found.record(16, 0.016)
    assert found.rate == pytest.approx(1_000, rel=0.01)
    fresh = Throughput()
    fresh.doubt()
    assert fresh.rate == UNMEASURED_RATE


def test_what_was_measured_gets_old():
    assert not Throughput().outdated
    found = Throughput(measured=time.monotonic() - FRESH_SECONDS - 1.0)
    assert found.outdated
    found.record(10, 1.0)
    assert not found.outdated


@given(left=POSITIVE, own=st.integers(1, 100_000), ahead=st.integers(0, 100_000), rate=st.floats(1.0, 1e6))
def test_who_is_refused_and_how(left, own, ahead, rate):
    found = Throughput(tokens=rate, seconds=1.0)
    alone, all_in_all = own / rate, (own + ahead) / rate
    if alone > 2 * left:
        with pytest.raises(DeadlineExceeded):
            found.check_deadline(left, own=own, ahead=ahead, model="m")
    elif own / rate + ahead / rate > 2 * left:
        with pytest.raises(Overloaded) as caught:
            found.check_deadline(left, own=own, ahead=ahead, model="m")
        assert caught.value.retry_after == retry_seconds(all_in_all - left)
    else:
        found.check_deadline(left, own=own, ahead=ahead, model="m")


@given(st.floats(-1e9, 1e9))
def test_retries_are_bounded(seconds):
    assert SHORTEST_RETRY <= retry_seconds(seconds) <= LONGEST_RETRY
