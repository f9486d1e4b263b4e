"""Which signals end a process in order, which at once, and what becomes of a terminal that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import signals
from sidecar.signals import StopRequests, end_as_process_1, stop_signals


def test_a_process_ends_by_ctrl_c_by_sigterm_and_with_its_terminal(hangups: None) -> None:
    assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def test_what_was_started_to_outlive_its_terminal_does(hangups: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM}


def test_only_process_1_needs_a_handler_to_be_ended(hangups: None, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        end_as_process_1()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_DFL] * 2
        monkeypatch.setattr(os, "getpid", lambda: 1)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        end_as_process_1()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "what was to be outlived still is"
        assert signal.getsignal(signal.SIGTERM) is signals._end
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_nohup_is_seen() -> None:
    code = "from sidecar.signals import stop_signals; print(*sorted(stop_signals()))"
    done = subprocess.run(["nohup", sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(signal.SIGINT.value), str(signal.SIGTERM.value)]


@given(st.lists(st.sampled_from([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])))
def test_the_first_asks_and_the_same_one_again_insists_unless_it_is_a_hangup(numbers: list[signal.Signals]) -> None:
    requests = StopRequests()
    assert not requests.asked
    insisted = [requests.at_once(number) for number in numbers]
    assert insisted == [number in numbers[:at] and number is not signal.SIGHUP for at, number in enumerate(numbers)]
    assert requests.asked is bool(numbers)


def test_a_terminal_is_lost_when_its_other_side_is_closed() -> None:
    person, program = os.openpty()
    try:
        assert not signals._is_lost_terminal(program)
        os.close(person)
        assert signals._is_lost_terminal(program)
    finally:
        os.close(program)


def test_a_file_a_pipe_and_a_closed_descriptor_are_no_lost_terminals() -> None:
    reading, writing = os.pipe()
    file = os.open(os.devnull, os.O_RDWR)
    for descriptor in (reading, writing, file):
        assert not signals._is_lost_terminal(descriptor)
        os.close(descriptor)
    assert not signals._is_lost_terminal(file)


def test_lines_written_after_the_terminal_is_gone_fail_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    person, program = os.openpty()
    reading, writing = os.pipe()
    monkeypatch.setattr(signals, "STANDARD_STREAMS", (program, writing))
    try:
        os.close(person)
        with pytest.raises(OSError, match="Input/output error"):
            os.write(program, b"lost\n")
        StopRequests().at_once(signal.SIGTERM)
        with pytest.raises(OSError, match="Input/output error"):
            os.write(program, b"lost too: no hangup\n")
        StopRequests().at_once(signal.SIGHUP)
        assert os.write(program, b"goes nowhere\n")
        os.write(writing, b"kept\n")
        assert os.read(reading, 100) == b"kept\n", "a pipe leads where it led"
    finally:
        for descriptor in (program, reading, writing):
            os.close(descriptor)
