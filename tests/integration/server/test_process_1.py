"""Process 1 of a container: the kernel gives it no signal that it does not handle, so something has to, early."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.lib.no_integration_skips import OUT_OF_REACH

pytestmark = pytest.mark.integration

ALONE = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")
"""Runs a command as process 1 of a namespace of its own."""

SLOW = "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Skips where the kernel lets nobody make a namespace."""
    tried = shutil.which("unshare") and subprocess.run([*ALONE, "true"], capture_output=True, check=False)
    if not tried or tried.returncode:
        pytest.skip(OUT_OF_REACH + "no namespaces of processes here")


@contextmanager
def importing(folder: Path, library: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`sidecar` as process 1, held up where it imports `library`; and its number as this side sees it."""
    (folder / f"{library}.py").write_text(SLOW)
    # Whatever the tests were started by, SIGHUP is not ignored.
    code = "import runpy, signal; signal.signal(1, signal.SIG_DFL); runpy.run_module('sidecar', run_name='__main__')"
    command = [*ALONE, sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as outer:
        try:
            assert outer.stdout is not None
            assert outer.stdout.readline() == b"importing\n"
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            assert len(children) == 1
            yield outer, int(children[0])
        finally:
            outer.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("library", "arguments", "code"),
    [
        # The command line itself, of whichever command.
        ("typer", ("serve",), None),
        ("typer", ("setup", "--index", "i"), None),
        # What the server imports: a signal during its start is an end in order.
        ("uvicorn", ("serve", "--models", "one"), 0),
    ],
)
def test_a_signal_ends_it_however_early(
    tmp_path: Path, number: signal.Signals, library: str, arguments: tuple[str, ...], code: int | None
) -> None:
    with importing(tmp_path, library, *arguments) as (outer, inner):
        began = time.monotonic()
        os.kill(inner, number)
        _, said = outer.communicate(timeout=30.0)
        assert time.monotonic() - began < 30.0
    assert (outer.returncode, said) == (128 + number if code is None else code, b"")


def test_whoever_is_not_process_1_is_left_to_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(SLOW)
    command = [sys.executable, "-m", "sidecar", "serve"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30.0) == -signal.SIGTERM
