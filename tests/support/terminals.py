"""A terminal for one process of its own, which can be closed under it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

__all__ = ["Terminal", "hangups", "in_terminal"]

LAUNCH = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""What a login shell does before it starts a program: the terminal is that of the session."""


@dataclass
class Terminal:
    """The process, and the side of its terminal at which a person would sit."""

    process: subprocess.Popen[bytes]
    person: int | None

    def line(self) -> bytes:
        """Return the next line: what a terminal has to be read may well be only a part of one."""
        assert self.person is not None
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self.person, 1)
        return line

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP, and whatever is written from now on fails."""
        if self.person is not None:
            os.close(self.person)
            self.person = None


@contextmanager
def in_terminal(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run Python with these arguments as the first process of a session, all its streams on a terminal."""
    person, program = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *arguments],
        stdin=program,
        stdout=program,
        stderr=program,
        start_new_session=True,
        env=dict(environment),
    )
    os.close(program)
    terminal = Terminal(process, person)
    try:
        yield terminal
    finally:
        terminal.close()
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def hangups() -> Iterator[None]:
    """Whatever the tests were started by, SIGHUP is not ignored: here, and in the processes that a test starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
