"""Reconcile killed again and again while an application writes: nothing is lost, overwritten, or brought back.

The encoder is a small one, made on the spot: what is looked at is which text a vector belongs to, not how good it is.
SIDECAR_FAULT_DOCUMENTS=20000 makes it the size of a small shop (so does .ci/run), SIDECAR_FAULT_SEED another course
of events.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.faults.audit import repeated_writes, require_right
from tests.faults.changes import outcome, plan
from tests.faults.conftest import DOCUMENTS, SEED, every_id
from tests.support.bare import fill, prepare
from tests.support.faults import FaultyProxy, faulty_proxy
from tests.support.nodes import Node
from tests.support.outages import Killer
from tests.support.shell import Shell, ended

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900 + DOCUMENTS // 4)]

KILLS = 10
TOLERATED = 0.02
"""Share of writes that may be repetitions."""


class KillerBesideAWriter(Killer):
    """Kills at ten points, by the seed, and lets another process change documents before each bulk."""

    def __init__(self, proxy: FaultyProxy, writer: Process, documents: int, seed: int) -> None:
        chosen = random.Random(seed)
        step = documents * 0.9 / KILLS
        points = [int(step * (number + chosen.random())) for number in range(KILLS)]
        super().__init__(proxy, points, [chosen.random() < 0.5 for _ in range(KILLS)])
        self._writer = writer
        self._changes = max(1, len(plan(documents, seed)) // 12)

    async def before(self, body: bytes) -> None:
        if self.kills < KILLS:
            await tell(self._writer, self._changes if self.written else 0)
        await super().before(body)


async def tell(writer: Process, changes: int) -> None:
    assert writer.stdin is not None
    writer.stdin.write(b"%d\n" % changes)
    await writer.stdin.drain()


async def test_killed_at_ten_points_while_others_write(
    opensearch: Node,
    engine: Engine,
    sidecar_process: SidecarProcess,
    index_name: str,
    tmp_path: Path,
) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=120.0) as client:
        await prepare(engine, client, index_name)
    await fill(engine, index_name, DOCUMENTS)
    changes = plan(DOCUMENTS, SEED)
    command = ("reconcile", "--index", index_name, "--slices", "2", "--json")
    letters = ("--dead-letters", str(tmp_path / "dead.jsonl"))
    async with faulty_proxy(opensearch.url) as proxy:
        writer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.changes", opensearch.url, index_name, str(DOCUMENTS), str(SEED)),
            stdin=PIPE,
            stderr=PIPE,
        )
        killer = KillerBesideAWriter(proxy, writer, DOCUMENTS, SEED)
        shell = Shell(Path.cwd(), proxy.url, sidecar_process.target)
        starts = 0
        while killer.kills < KILLS:
            process = killer.process = await shell.start(*command, *letters)
            await ended(process, -signal.SIGKILL)
            starts += 1
            print(f"killed after {killer.written} writes")
        _, told = await writer.communicate(b"")
        assert writer.returncode == 0, told.decode()
        done = await shell.run(*command, *letters)
    assert starts == KILLS
    figures = orjson.loads(done.stdout)
    assert figures["found"] == figures["written"] + figures["unneeded"] + figures["gone"]
    expected = outcome(DOCUMENTS, changes)
    async with AsyncSidecarClient(sidecar_process.target, timeout=120.0) as client:
        held = await require_right(engine, client, index_name, every_id(DOCUMENTS), expected)
    repeated = repeated_writes(held, changes)
    print(f"{DOCUMENTS} documents, {len(changes)} changes, {KILLS} kills: {repeated} writes repeated")
    assert repeated < TOLERATED * DOCUMENTS
    assert not (tmp_path / "dead.jsonl").exists()
