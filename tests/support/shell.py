"""The `sidecar` command as it is typed: in a process of its own, at a cluster and a sidecar, or right here."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sidecar.cli.main import main

__all__ = ["Done", "Shell", "ended", "typed"]

LONGEST = 240.0
"""Seconds that a command may take; then it is killed, and the test fails."""


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, and what it printed."""

    code: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Shell:
    """Where commands are typed."""

    folder: Path
    engine: str
    target: str

    async def start(self, *arguments: str) -> Process:
        """Start `sidecar` with these arguments."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", *arguments),
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.folder,
            env={**os.environ, "SIDECAR_ENGINE": self.engine, "SIDECAR_TARGET": self.target},
        )

    async def run(self, *arguments: str, code: int | None = 0) -> Done:
        """Run `sidecar` to its end, which is to be this exit code; None: any."""
        return await ended(await self.start(*arguments), code)


async def ended(process: Process, code: int | None = 0) -> Done:
    """Wait for a process that was started; fails where its exit code is another one (None: any)."""
    try:
        async with asyncio.timeout(LONGEST):
            out, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return _checked(Done(process.returncode, out.decode(), told.decode()), code)


def typed(*arguments: str, code: int | None = 0, columns: int = 200) -> Done:
    """Run `sidecar` in this process, on a terminal of so many columns, to this exit code (None: any)."""
    out, told = io.StringIO(), io.StringIO()
    left: int | None = 0
    with patch.dict(os.environ, {"COLUMNS": str(columns)}), redirect_stdout(out), redirect_stderr(told):
        try:
            main(arguments)
        except SystemExit as end:
            left = end.code if isinstance(end.code, int) else int(end.code is not None)
    return _checked(Done(left, out.getvalue(), told.getvalue()), code)


def _checked(done: Done, code: int | None) -> Done:
    assert code in (None, done.code), done.stdout + done.stderr
    return done
