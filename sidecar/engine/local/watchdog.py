"""Ends the node when the process that started it is gone, however it went.

Run as a program: `watchdog.py PID [FOLDER]`, with a pipe from the owner as standard input. The pipe closes when the
owner dies; the node is then ended and the temporary FOLDER removed. `PR_SET_PDEATHSIG` would fire when the thread that
started the node ends, which is too early under a thread pool.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys

GRACE = 10.0
"""Seconds the node gets to close its files."""


def main(pid: int, folder: str | None) -> None:
    """Wait until the node or its owner ends; end the node in the second case."""
    try:
        node = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([sys.stdin.fileno(), node], [], [])
    if node in ready:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(node, number)
        except ProcessLookupError:
            break
        if select.select([node], [], [], GRACE)[0]:
            break
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
