"""Keeping the copy true: every document of the index that is searched, with the other model's vector.

Documents go one way, from the index that the alias stands for into the other one, so that the same run fills a new
index before the swap and keeps the old one for a roll-back after it. What has to be done is read from both indices: a
run can be killed at any moment and begun again, and several can work side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.mirror.comparing import compare, orphans
from sidecar.cluster.mirror.pair import Pair, Side, require_pair
from sidecar.cluster.mirror.writing import CopyWriter
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.pipeline import merged
from sidecar.cluster.reconcile.finding import Finding
from sidecar.cluster.reconcile.flow import Flow, Target
from sidecar.cluster.reconcile.pages import PageSize
from sidecar.cluster.reconcile.patience import LONGEST_WAIT, PASSING, patiently, rest
from sidecar.cluster.reconcile.run import Progress
from sidecar.cluster.reconcile.summary import ReconcileOptions, ReconcileSummary
from sidecar.cluster.reconcile.tally import PutOff, Tally
from sidecar.domain import JsonObject
from sidecar.engine import Checkpoints, Engine, Scan, ScanSpec, dialect_of
from sidecar.errors import DocumentsNotWritten

__all__ = ["CopyRun"]

AGAIN_ROUNDS = 5
AGAIN_AT_ONCE = 500


class CopyRun:
    """One run over both indices of a migration. `summary` can be read at any time, also after a failure.

    In the summary, `gone` are documents that were deleted from the copy because their originals are. What the cluster
    or the sidecar refuses is copied without a vector, and put into the dead letters. Raises as ReconcileRun does.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        index: str,
        dead_letters: DeadLetters,
        options: ReconcileOptions | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._sidecar = sidecar
        self._index = index
        self._dead_letters = dead_letters
        self._options = options or ReconcileOptions()
        self._progress = progress
        self._doing = ("", 0)
        self._compared: dict[str, Checkpoints] = {}
        self._stopping = asyncio.Event()
        self._tally = Tally(dead_letters, self._tell)
        self._flow = Flow(engine, sidecar, self._tally, self._options, self._stopping, copies=True)
        self._deleted = 0

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far."""
        found = self._tally.summary
        return replace(found, changed=found.changed + self._deleted, gone=found.gone + self._deleted)

    @property
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""
        return self._flow.load_visible

    def stop(self) -> None:
        """End the run soon: nothing more is read, what is under way is written."""
        self._stopping.set()

    async def run(self) -> ReconcileSummary:
        """Copy until nothing is left; raise DocumentsNotWritten where something is."""
        await self.look()
        self.require_done()
        return self.summary

    def require_done(self) -> None:
        """Raise DocumentsNotWritten where something was left, as `run` does at its end."""
        summary = self.summary
        reasons: list[str] = []
        if summary.failed:
            where = f" (they are in {self._dead_letters.path})" if self._dead_letters.path else ""
            reasons.append(f"{summary.failed} documents could not be encoded or written{where}")
        if summary.left:
            reasons.append(f"{summary.left} changed too fast or were turned away each time: run it again")
        if self._stopping.is_set() and not self._options.follow:
            reasons.append("the run was stopped before its end: run it again")
        if reasons:
            raise DocumentsNotWritten("; ".join(reasons).capitalize() + ".")

    async def look(self, *, exact: bool = False) -> None:
        """Copy what is missing or has changed, and delete what is gone.

        Everything is compared the first time, later only what was written since. Documents that are gone are looked
        for where the copy has more than its source; `exact`: also where it has fewer. Raises InvalidInput where no
        migration is open.
        """
        await self._patiently(self._forward)
        for number in range(AGAIN_ROUNDS):
            if not self.summary.left or self._stopping.is_set():
                break
            await rest(self._stopping, min(LONGEST_WAIT, 0.2 * 2**number))
            try:
                await self._again()
            except PASSING:
                # Which of them are done by now, only the indices know.
                self._compared.clear()
                await self._patiently(self._forward)
        if self.summary.left:
            self._compared.clear()
        await self._patiently(partial(self._backward, exact))

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        await patiently(
            attempt,
            patience=self._options.patience,
            stopping=self._stopping,
            found=lambda: self.summary.found,
        )

    async def _forward(self) -> None:
        pair = await require_pair(self._engine, self._index)
        source, copy = pair.serving, pair.other
        # Taken before the refresh: all that lies up to it is searchable then.
        now = await self._engine.checkpoints(source.name)
        before = self._compared.get(source.name)
        query: JsonObject = {"match_all": {}} if before is None else before.later(now)
        await self._engine.refresh(source.name)
        self._doing = ("copying", self.summary.scanned + await self._engine.count(source.name, query))
        spec = ScanSpec(source.name, query, (), self._options.slices)
        async with (
            self._engine.scan(spec) as scan,
            aclosing(self._findings(scan, source, copy)) as findings,
        ):
            await self._carry(findings, pair, source, copy)
        if not self._stopping.is_set():
            self._compared[source.name] = now

    async def _again(self) -> None:
        pair = await require_pair(self._engine, self._index)
        source, copy = pair.serving, pair.other
        waiting = self._tally.take_put_off()
        self._doing = ("trying again", len(waiting))
        await self._carry(self._read_again(waiting, source, copy), pair, source, copy)

    async def _carry(self, findings: AsyncGenerator[list[Finding], None], pair: Pair, source: Side, copy: Side) -> None:
        model = encoder_of_index(await self._sidecar.models(), copy.meta, copy.name)
        target = Target(copy.meta, dialect_of(copy.meta), model.name)
        await self._flow.carry(findings, target, CopyWriter(self._engine, pair.record.alias, source.name))

    async def _findings(self, scan: Scan, source: Side, copy: Side) -> AsyncGenerator[list[Finding], None]:
        size = PageSize(self._options)
        slices = [partial(scan.pages, part, size) for part in range(self._options.slices)]
        async with aclosing(merged(slices)) as pages:
            async for page in pages:
                if self._stopping.is_set():
                    return
                self._tally.scanned(len(page))
                found = await compare(self._engine, source, copy, page)
                size.learn([finding.document for finding in found])
                yield [finding for finding in found if not self._tally.was_refused(finding.document)]

    async def _read_again(
        self, waiting: Sequence[PutOff], source: Side, copy: Side
    ) -> AsyncGenerator[list[Finding], None]:
        for start in range(0, len(waiting), AGAIN_AT_ONCE):
            yield await compare(
                self._engine, source, copy, [one.document for one in waiting[start : start + AGAIN_AT_ONCE]]
            )

    async def _backward(self, exact: bool) -> None:
        pair = await require_pair(self._engine, self._index)
        source, copy = pair.serving, pair.other
        await self._engine.refresh(f"{source.name},{copy.name}")
        originals, copies = await self._engine.count(source.name), await self._engine.count(copy.name)
        if copies == originals or (copies < originals and not exact):
            return
        writer = CopyWriter(self._engine, pair.record.alias, source.name)
        self._doing = ("looking for deleted documents", self.summary.scanned + copies)
        size = PageSize(self._options)
        spec = ScanSpec(copy.name, {"match_all": {}}, ())
        async with self._engine.scan(spec) as scan, aclosing(scan.pages(0, size)) as pages:
            async for page in pages:
                if self._stopping.is_set():
                    return
                self._tally.scanned(len(page))
                gone = await orphans(self._engine, source, page)
                if gone:
                    self._deleted += await writer.delete(gone)

    def _tell(self, summary: ReconcileSummary) -> None:
        if self._progress is not None:
            self._progress(replace(summary, gone=summary.gone + self._deleted), *self._doing)
