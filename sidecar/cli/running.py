"""What commands that go through an index have in common: connections, progress, signals, and what was done."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import ClusterAddress, SidecarAddress
from sidecar.cli.output import print_json_line

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.cluster import DeadLetters
    from sidecar.cluster.reconcile import Progress, ReconcileSummary, Run
    from sidecar.engine import Engine

__all__ = ["Tools", "equipped"]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run is made of: connections, dead letters, and whom it tells how far it is."""

    engine: Engine
    client: AsyncSidecarClient
    letters: DeadLetters
    progress: Progress
    console: Console

    def tell(self, sentence: str) -> None:
        """Say one sentence to the operator."""
        self.console.print(escape(sentence), highlight=False, soft_wrap=True)

    @asynccontextmanager
    async def carrying_out(self, run: Run, *, as_json: bool) -> AsyncIterator[None]:
        """Let a run go to its end, or until a signal, before the block; print what it has done after it.

        Raises what the run raises, after printing too. The block is for what follows a run that left nothing.
        """
        try:
            await _until_stopped(run)
            yield
        finally:
            _print(run, as_json, self.console)


@asynccontextmanager
async def equipped(letters: Path, cluster: ClusterAddress, encoder: SidecarAddress) -> AsyncIterator[Tools]:
    """Connect, open the dead letters, and show progress meanwhile; raise EngineError."""
    from sidecar.cli.progress import reconcile_progress
    from sidecar.cluster import DeadLetters

    console = Console(stderr=True)
    with DeadLetters(letters) as dead, reconcile_progress(console) as show:
        async with await cluster.connect() as engine, encoder.client() as client:

            def progress(now: ReconcileSummary, doing: str, total: int) -> None:
                show(doing, now.scanned, total, f"{now.written} written, {now.failed} failed")

            yield Tools(engine, client, dead, progress, console)


async def _until_stopped(run: Run) -> None:
    """SIGINT and SIGTERM stop the run in an orderly way, a second one at once."""
    task = asyncio.ensure_future(run.run())
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            task.cancel()
        asked = True
        run.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await task
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _print(run: Run, as_json: bool, console: Console) -> None:
    summary = run.summary
    if not run.load_visible:
        console.print(
            "This user may not see how busy the nodes are (cluster:monitor/nodes/stats): only refused writes (429)"
            " slowed the run down.",
            highlight=False,
        )
    if as_json:
        figures = {
            "scanned": summary.scanned,
            "found": summary.found,
            "missing": summary.missing,
            "outdated": summary.outdated,
            "changed": summary.changed,
            "written": summary.written,
            "without_vector": summary.without_vector,
            "truncated": summary.truncated,
            "unneeded": summary.unneeded,
            "gone": summary.gone,
            "failed": summary.failed,
            "left": summary.left,
            "held_back_seconds": round(summary.held_back, 3),
            "seconds": round(summary.seconds, 3),
            "documents_per_second": round(summary.documents_per_second, 1),
        }
        print_json_line(figures)
        return
    console.print(
        f"scanned {summary.scanned}, found {summary.found} (missing {summary.missing}, outdated {summary.outdated},"
        f" changed {summary.changed}): written {summary.written} (without text {summary.without_vector}, truncated"
        f" {summary.truncated}), unneeded {summary.unneeded}, gone {summary.gone}, failed {summary.failed}; left"
        f" {summary.left}; {summary.seconds:.1f} s, {summary.documents_per_second:.0f} documents/s, held back"
        f" {summary.held_back:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
