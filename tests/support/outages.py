"""What goes away in the middle of a run: the process itself, a sidecar, a node; and the last two come back."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.reconcile import ReconcileSummary
from sidecar.engine import BulkPolicy, Engine
from sidecar.engine.local import LocalNode
from sidecar.server.process import SidecarProcess
from tests.support.faults import FaultyProxy, bulk_actions

QUICK = BulkPolicy(attempts=3, first_wait=0.05, longest_wait=0.5)


@dataclass
class Outage:
    """Something that is killed when so many documents are written, and started again while the run goes on."""

    written: int
    kill: Callable[[], None]
    start_again: Callable[[], object]
    restarts: list[asyncio.Task[object]] = field(default_factory=list)

    def progress(self, now: ReconcileSummary, _doing: str, _total: int) -> None:
        """What the run is given, to know how far it is."""
        if now.written >= self.written and not self.restarts:
            self.kill()
            self.restarts.append(asyncio.ensure_future(asyncio.to_thread(self.start_again)))

    async def over(self) -> None:
        """Wait until it is back; fails where nothing was killed."""
        assert self.restarts, "it was killed in the middle"
        await self.restarts[0]


@asynccontextmanager
async def failing_sidecar(bundles: Sequence[Path], written: int) -> AsyncIterator[tuple[AsyncSidecarClient, Outage]]:
    """A client of a sidecar that is killed, and started again at the same port."""
    with SidecarProcess(bundles, settings={"threads": 1}, startup_timeout=280.0) as first:
        port = int(first.target.rpartition(":")[2])
        second = SidecarProcess(bundles, settings={"threads": 1, "grpc_port": port}, startup_timeout=280.0)

        def kill() -> None:
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10.0)

        outage = Outage(written, kill, second.start)
        async with AsyncSidecarClient(first.target, timeout=120.0) as client:
            try:
                yield client, outage
            finally:
                await asyncio.gather(*outage.restarts, return_exceptions=True)
                second.stop()


@asynccontextmanager
async def failing_node(data: Path, written: int) -> AsyncIterator[tuple[Engine, Outage]]:
    """An engine of a node that is killed, and started again at the same port, on its data."""
    nodes = [LocalNode(port=0, path=data, heap="512m").start()]
    port = int(nodes[0].url.rpartition(":")[2])

    def start_again() -> None:
        nodes[0].stop()
        nodes.append(LocalNode(port=port, path=data, heap="512m").start())

    outage = Outage(written, lambda: os.kill(nodes[0].pid, signal.SIGKILL), start_again)
    try:
        async with await Engine.connect(nodes[0].url, bulk=QUICK) as engine:
            yield engine, outage
    finally:
        await asyncio.gather(*outage.restarts, return_exceptions=True)
        for node in reversed(nodes):
            node.stop()


class Killer:
    """Kills the process at hand when so many documents are written, once for each of `points`.

    `early` says of each kill whether it comes before the cluster sees the bulk, or after.
    """

    def __init__(self, proxy: FaultyProxy, points: Sequence[int], early: Sequence[bool]) -> None:
        self.points, self.early = points, early
        self.written = self.kills = 0
        self.process: Process | None = None
        proxy.before, proxy.after = self.before, self.after

    async def before(self, body: bytes) -> None:
        if self._due(body) and self.early[self.kills]:
            self._kill()

    async def after(self, body: bytes) -> None:
        if self._due(body) and not self.early[self.kills]:
            self._kill()
        self.written += len(bulk_actions(body))

    def _due(self, body: bytes) -> bool:
        reached = self.written + len(bulk_actions(body))
        return self.process is not None and self.kills < len(self.points) and reached >= self.points[self.kills]

    def _kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process = None
        self.kills += 1
