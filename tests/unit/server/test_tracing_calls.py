"""What log lines say of the trace that a call belongs to, and the times of its stages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Timings
from sidecar.server.tracing.calls import CALL, log_ids, note_failure, traceparent_of
from sidecar.server.tracing.service import stages
from tests.support.collector import SAMPLED, SPAN_ID, TRACE_ID

HEXADECIMAL = "0123456789abcdef"


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    return st.text(HEXADECIMAL, min_size=length, max_size=length).filter(lambda text: text.strip("0"))


@given(hexadecimal(32), hexadecimal(16), st.text(HEXADECIMAL, min_size=2, max_size=2))
def test_a_well_formed_traceparent_is_taken_over(trace_id: str, span_id: str, flags: str) -> None:
    header = f"00-{trace_id}-{span_id}-{flags}"
    assert log_ids(header) == log_ids(header.encode()) == {"trace_id": trace_id, "span_id": span_id}


@given(st.one_of(st.none(), st.text(), st.binary(), st.text(HEXADECIMAL + "-", min_size=50, max_size=60)))
def test_nothing_else_gets_into_a_log_line(header: str | bytes | None) -> None:
    found = log_ids(header)
    assert set(found) in (set(), {"trace_id", "span_id"})
    assert all(re.fullmatch("[0-9a-f]{16}|[0-9a-f]{32}", value) for value in found.values())


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (SAMPLED, True),
        (f"01-{TRACE_ID}-{SPAN_ID}-01-what-a-later-version-adds", True),
        (f"cc-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-01-more", False),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01", False),
        (f"00-{'0' * 32}-{SPAN_ID}-01", False),
        (f"00-{TRACE_ID}-{'0' * 16}-01", False),
        (SAMPLED.upper(), False),
        (SAMPLED + "\n", False),
        ("", False),
        (None, False),
    ],
)
def test_the_recommendations_own_cases(header: str | None, known: bool) -> None:
    assert bool(log_ids(header)) is known


def test_of_several_headers_none_is_taken() -> None:
    one = ("traceparent", SAMPLED)
    assert traceparent_of([("user-agent", "x"), one]) == SAMPLED
    assert traceparent_of([one, one]) is None
    assert traceparent_of(None) is None


def test_a_call_with_a_span_of_its_own_is_known_by_that() -> None:
    class Traced:
        def __init__(self) -> None:
            self.reasons: list[str] = []

        def failed(self, reason: str) -> None:
            self.reasons.append(reason)

        def log_ids(self) -> dict[str, str]:
            return {"trace_id": "a", "span_id": "b"}

    note_failure("NOBODY_LISTENS")
    call = Traced()
    token = CALL.set(call)
    try:
        assert log_ids(SAMPLED) == {"trace_id": "a", "span_id": "b"}
        note_failure("OVERLOADED")
    finally:
        CALL.reset(token)
    assert call.reasons == ["OVERLOADED"]
    assert log_ids(SAMPLED)["trace_id"] == TRACE_ID


MICROS = st.integers(0, 10**8)


@given(MICROS, MICROS, MICROS, MICROS, st.integers(0, 2**61))
def test_stages_lie_within_their_call(tokenize: int, queue: int, inference: int, total: int, began: int) -> None:
    found = stages(Timings(tokenize, queue, inference, total), began)
    assert [name for name, _, _ in found] == [
        f"sidecar.{name}"
        for name, took in (("tokenize", tokenize), ("queue", queue), ("inference", inference))
        if took and (queue or inference)
    ]
    for _, start, end in found:
        assert began <= start <= end <= began + total * 1_000


@given(MICROS, MICROS, MICROS, MICROS)
def test_stages_of_one_batch_follow_each_other(tokenize: int, queue: int, inference: int, rest: int) -> None:
    """Each as long as was measured, in their order, and inference ends with the call."""
    timings = Timings(tokenize, queue, inference, tokenize + queue + inference + rest)
    found = {name: (start, end) for name, start, end in stages(timings, 0)}
    lengths = {"sidecar.tokenize": tokenize, "sidecar.queue": queue, "sidecar.inference": inference}
    for name, (start, end) in found.items():
        assert end - start == lengths[name] * 1_000
    starts = [start for start, _ in found.values()]
    assert starts == sorted(starts)
    if inference:
        assert found["sidecar.inference"][1] == timings.total_us * 1_000
    if queue:
        assert found["sidecar.queue"][0] == tokenize * 1_000
