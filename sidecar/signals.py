"""The signals that ask a process to end: Ctrl-C, SIGTERM, and the SIGHUP of a terminal that is closed."""

from __future__ import annotations

import errno
import os
import signal
import termios
from types import FrameType

__all__ = ["StopRequests", "end_as_process_1", "stop_signals"]

STANDARD_STREAMS = (0, 1, 2)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to be handled.

    SIGHUP is not among them where the process was started with it ignored: `nohup` means that it is to go on.
    """
    ending = (signal.SIGINT, signal.SIGTERM)
    return ending if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*ending, signal.SIGHUP)


def end_as_process_1() -> None:
    """Let SIGTERM and SIGHUP end this process if it is process 1, as they end any other that does not handle them.

    To process 1 of a container the kernel gives no signal that nobody handles: it would be lost, and the container
    killed at the end of its grace. Whoever handles them later puts his own handler in the place of this one.
    """
    if os.getpid() != 1:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


class StopRequests:
    """What the signals of one process ask for: the first for an end in order, the same one again for an end at once.

    A signal of another kind is nobody's impatience: a session that ends sends SIGHUP, and whoever cleans up after it
    SIGTERM; Ctrl-C goes to all of a terminal's processes, and the parent among them passes SIGTERM on. SIGHUP never
    asks for an end at once: where a terminal is closed, the kernel sends one, and the shell another.

    Usage:
        requests = StopRequests()
        if requests.at_once(number):
            os._exit(128 + number)
        begin_to_drain()
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()

    @property
    def asked(self) -> bool:
        """Whether there was any."""
        return bool(self._taken)

    def at_once(self, number: int) -> bool:
        """Take a signal; return whether nothing may be waited for any more."""
        again = number in self._taken
        self._taken.add(number)
        if number == signal.SIGHUP:
            _leave_lost_terminal()
            return False
        return again


def _leave_lost_terminal() -> None:
    """Let standard streams lead nowhere that led to a terminal which is gone: every line written there would fail."""
    lost = [descriptor for descriptor in STANDARD_STREAMS if _is_lost_terminal(descriptor)]
    if not lost:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in lost:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_lost_terminal(descriptor: int) -> bool:
    try:
        termios.tcgetattr(descriptor)
    except termios.error as error:
        # A file, a pipe and a closed descriptor have other errors.
        return bool(error.args[0] == errno.EIO)
    return False
