"""What commands that go through an index have in common: connections, progress, signals, and what was done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.connections import ClusterAddress, SidecarAddress
from sidecar.cli.output import print_json_line
from sidecar.errors import DocumentsNotWritten
from sidecar.signals import StopRequests, stop_signals

if TYPE_CHECKING:
    from sidecar.client import AsyncSidecarClient
    from sidecar.cluster import DeadLetters
    from sidecar.cluster.reconcile import Progress, ReconcileSummary, Run
    from sidecar.cluster.records import Record, RecordSource, Unreadable
    from sidecar.engine import Engine

__all__ = ["StoppableSource", "Tools", "equipped", "until_read", "until_stopped"]


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
            await until_stopped(run.run(), run.stop)
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


class StoppableSource:
    """Documents to read until somebody calls `stop`: from then on the source is at its end.

    `stopped` is what the source was opened with, so that a pipe keeps nobody waiting either.
    """

    def __init__(self, source: RecordSource, stopped: threading.Event) -> None:
        self._source = source
        self._stopped = stopped
        self.cut_short = False
        """Whether the end was said to be there before it was known to be."""

    @property
    def size(self) -> int | None:
        """Bytes in all; None where nobody knows."""
        return self._source.size

    @property
    def position(self) -> int:
        """Bytes that were read."""
        return self._source.position

    def stop(self) -> None:
        """Give no more documents."""
        self._stopped.set()

    def take(self, count: int) -> list[Record | Unreadable]:
        """Read up to `count` documents; an empty list is the end."""
        taken = [] if self._stopped.is_set() else self._source.take(count)
        if not taken and self._stopped.is_set():
            self.cut_short = self.size is None or self.position < self.size
        return taken


async def until_read(run: Coroutine[object, object, object], source: StoppableSource) -> None:
    """Let a run over `source` go to its end, or to the end of what it has read when a signal comes.

    Raises what the run raises, and DocumentsNotWritten where the source was not read to its end.
    """
    letters = ""
    try:
        await until_stopped(run, source.stop)
    except DocumentsNotWritten as error:
        if not source.cut_short:
            raise
        letters = f" {error.message}"
    if source.cut_short:
        raise DocumentsNotWritten(
            "The run was stopped before all documents were read; those that were read are done with. Run the same"
            f" command again: it begins at the first one, ids are kept, and nothing is there twice.{letters}"
        )


async def until_stopped(work: Coroutine[object, object, object], stop: Callable[[], None]) -> None:
    """Let `work` go to its end. SIGINT, SIGTERM and SIGHUP ask for it by `stop`, and may end `work` early.

    The same signal again, if it is not SIGHUP, cancels it at once, and raises typer.Exit with 128 + its number.
    """
    task = asyncio.ensure_future(work)
    requests, signals = StopRequests(), stop_signals()
    ended_by = 0

    def handle(number: int) -> None:
        nonlocal ended_by
        if requests.at_once(number):
            ended_by = number
            task.cancel()
        stop()

    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, handle, number)
    try:
        await task
    except asyncio.CancelledError:
        if not ended_by:
            raise
        raise typer.Exit(128 + ended_by) from None
    finally:
        for number in signals:
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
