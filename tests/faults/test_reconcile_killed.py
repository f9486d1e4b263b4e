"""Reconcile killed again and again while an application writes: nothing is lost, overwritten, or brought back.

SIDECAR_FAULT_DOCUMENTS=20000 makes it the size of a small shop, SIDECAR_FAULT_SEED another course of events.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from tests.faults.audit import repeated_writes, require_right
from tests.faults.changes import outcome, plan
from tests.faults.conftest import DOCUMENTS, SEED, every_id
from tests.support.faults import FaultyProxy, bulk_actions, faulty_proxy
from tests.support.nodes import Node
from tests.support.starter import Starter, fill

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900 + DOCUMENTS // 4)]

KILLS = 10
TOLERATED = 0.02
"""Share of writes that may be repetitions."""


class Killer:
    """Kills the process at hand when so many documents are written: before the cluster sees the bulk, or after it."""

    def __init__(self, proxy: FaultyProxy, writer: Process, documents: int, seed: int) -> None:
        chosen = random.Random(seed)
        step = documents * 0.9 / KILLS
        self.points = [int(step * (number + chosen.random())) for number in range(KILLS)]
        self.early = [chosen.random() < 0.5 for _ in range(KILLS)]
        self.written = 0
        self.kills = 0
        self.process: Process | None = None
        self._writer = writer
        self._changes = max(1, len(plan(documents, seed)) // 12)
        proxy.before, proxy.after = self.before, self.after

    async def before(self, body: bytes) -> None:
        if self.kills < KILLS:
            await tell(self._writer, self._changes if self.written else 0)
        if self._due(body) and self.early[self.kills]:
            self._kill()

    async def after(self, body: bytes) -> None:
        if self._due(body) and not self.early[self.kills]:
            self._kill()
        self.written += len(bulk_actions(body))

    def _due(self, body: bytes) -> bool:
        reached = self.written + len(bulk_actions(body))
        return self.kills < KILLS and self.process is not None and reached >= self.points[self.kills]

    def _kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process = None
        self.kills += 1


async def tell(writer: Process, changes: int) -> None:
    assert writer.stdin is not None
    writer.stdin.write(b"%d\n" % changes)
    await writer.stdin.drain()


async def start(*arguments: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**os.environ, **environment}
    )


async def test_killed_at_ten_points_while_others_write(
    opensearch: Node,
    engine: Engine,
    starter: Starter,
    starter_client: AsyncSidecarClient,
    bare_index: str,
    tmp_path: Path,
) -> None:
    await fill(engine, bare_index, DOCUMENTS)
    changes = plan(DOCUMENTS, SEED)
    command = ("sidecar", "reconcile", "--index", bare_index, "--slices", "2", "--json")
    letters = ("--dead-letters", str(tmp_path / "dead.jsonl"))
    async with faulty_proxy(opensearch.url) as proxy:
        writer = await start("tests.faults.changes", opensearch.url, bare_index, str(DOCUMENTS), str(SEED))
        killer = Killer(proxy, writer, DOCUMENTS, SEED)
        addresses = {"SIDECAR_ENGINE": proxy.url, "SIDECAR_TARGET": starter.target}
        codes: list[int | None] = []
        while killer.kills < KILLS:
            process = killer.process = await start(*command, *letters, **addresses)
            _, told = await process.communicate()
            codes.append(process.returncode)
            print(f"killed after {killer.written} writes")
            assert process.returncode == -signal.SIGKILL, told.decode()
        _, told = await writer.communicate(b"")
        assert writer.returncode == 0, told.decode()
        last = await start(*command, *letters, **addresses)
        summary, told = await last.communicate()
        assert last.returncode == 0, told.decode()
    assert len(codes) == KILLS
    figures = orjson.loads(summary)
    assert figures["found"] == figures["written"] + figures["unneeded"] + figures["gone"]
    expected = outcome(DOCUMENTS, changes)
    held = await require_right(engine, starter_client, bare_index, every_id(DOCUMENTS), expected)
    repeated = repeated_writes(held, changes)
    print(f"{DOCUMENTS} documents, {len(changes)} changes, {KILLS} kills: {repeated} writes repeated")
    assert repeated < TOLERATED * DOCUMENTS
    assert not (tmp_path / "dead.jsonl").exists()
