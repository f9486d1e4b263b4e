"""`sidecar reconcile`: every document of an index gets the vector of its text as it is now.

What has to be done is read from the index itself, so that a run can be killed at any moment and started again, and
several can work on one index. Every write is conditional on the version of the document that was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.pipeline import merged
from sidecar.cluster.reconcile.finding import Finding, complete_query, decide, incomplete_query, scanned_fields
from sidecar.cluster.reconcile.flow import Flow, Target
from sidecar.cluster.reconcile.pages import PageSize
from sidecar.cluster.reconcile.patience import LONGEST_WAIT, PASSING, patiently, rest
from sidecar.cluster.reconcile.summary import ReconcileOptions, ReconcileSummary
from sidecar.cluster.reconcile.tally import PutOff, Tally
from sidecar.cluster.reconcile.writing import Fate
from sidecar.domain import JsonObject
from sidecar.engine import Checkpoints, Engine, Scan, ScanSpec, dialect_of
from sidecar.errors import DocumentsNotWritten

__all__ = ["Progress", "ReconcileRun"]

AGAIN_ROUNDS = 5
"""How often documents that were put off are tried again within one round."""

AGAIN_AT_ONCE = 500

Progress = Callable[[ReconcileSummary, str, int], None]
"""Called with the summary, what is being done, and how many documents that is about."""


class ReconcileRun:
    """One run over one index, or over an alias's indices. `summary` can be read at any time, also after a failure.

    `fingerprint` names one of the two models of an index that is being migrated; None: the one that is searched.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        index: str,
        dead_letters: DeadLetters,
        options: ReconcileOptions | None = None,
        *,
        model: str | None = None,
        fingerprint: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._sidecar = sidecar
        self._index = index
        self._dead_letters = dead_letters
        self._options = options or ReconcileOptions()
        self._model = model
        self._fingerprint = fingerprint
        self._progress = progress
        self._doing = ("", 0)
        self._compared: Checkpoints | None = None
        self._stopping = asyncio.Event()
        self._tally = Tally(dead_letters, self._tell)
        self._flow = Flow(engine, sidecar, self._tally, self._options, self._stopping)

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far."""
        return self._tally.summary

    @property
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""
        return self._flow.load_visible

    def stop(self) -> None:
        """End the run soon: nothing more is read, what is under way is written."""
        self._stopping.set()

    async def run(self) -> ReconcileSummary:
        """Reconcile until nothing is left, or, following, until `stop` is called.

        Raises DocumentsNotWritten where documents are in the dead letters, or left for another run, or where the run
        was stopped before it had seen everything. FingerprintMismatch where the sidecar serves another model;
        EngineUnavailable, SidecarUnavailable and their like when `patience` is at its end.
        """
        await self.look()
        while self._options.follow and not self._stopping.is_set():
            await rest(self._stopping, self._options.interval)
            if not self._stopping.is_set():
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

    async def look(self) -> None:
        """Go through the index once. A run that follows compares only what was written since its look before."""
        await self._both_scans()
        for number in range(AGAIN_ROUNDS):
            if not self.summary.left or self._stopping.is_set():
                return
            await rest(self._stopping, min(LONGEST_WAIT, 0.2 * 2**number))
            try:
                await self._again(self._tally.take_put_off())
            except PASSING:
                # Which of them are done by now, only the index knows.
                self._compared = None
                await self._both_scans()
        if self.summary.left:
            self._compared = None

    async def _both_scans(self) -> None:
        await self._patiently(self._fill)
        if self._options.changed:
            await self._patiently(self._compare)

    async def _fill(self) -> None:
        """Find the documents without a vector of the model: the index knows them, few are read in vain."""
        target = await self._target()
        query = incomplete_query(target.meta, target.dialect, self._options.where)
        await self._scan("filling", query, target, has_vector=False)

    async def _compare(self) -> None:
        """Compare text and hash of all the others; following, only of those written since the last comparison."""
        target = await self._target()
        # Taken before the refresh: all that lies up to it is searchable then.
        now = await self._engine.checkpoints(self._index) if self._options.follow else None
        query = complete_query(target.meta, target.dialect, self._options.where)
        if now is not None and self._compared is not None:
            query = {"bool": {"filter": [query, self._compared.later(now)]}}
        await self._scan("comparing", query, target, has_vector=True)
        self._compared = now

    async def _scan(self, doing: str, query: JsonObject, target: Target, *, has_vector: bool) -> None:
        # A point in time sees what is refreshed: without this, what was just written would be found once more.
        await self._engine.refresh(self._index)
        self._doing = (doing, self.summary.scanned + await self._engine.count(self._index, query))
        spec = ScanSpec(self._index, query, scanned_fields(target.meta), self._options.slices)
        async with (
            self._engine.scan(spec) as scan,
            aclosing(self._findings(scan, target, has_vector=has_vector)) as findings,
        ):
            await self._flow.carry(findings, target)

    async def _findings(self, scan: Scan, target: Target, *, has_vector: bool) -> AsyncGenerator[list[Finding], None]:
        size = PageSize(self._options)
        slices = [partial(scan.pages, part, size) for part in range(self._options.slices)]
        async with aclosing(merged(slices)) as pages:
            async for page in pages:
                if self._stopping.is_set():
                    return
                size.learn(page)
                self._tally.scanned(len(page))
                decided = [
                    decide(document, target.meta, has_vector=has_vector)
                    for document in page
                    if not self._tally.was_refused(document)
                ]
                found = [finding for finding in decided if finding is not None]
                if found:
                    yield found

    async def _again(self, documents: list[PutOff]) -> None:
        """Read documents that were put off once more, whatever the index has refreshed, and carry them through."""
        target = await self._target()
        self._doing = ("trying again", len(documents))
        await self._flow.carry(self._read_again(documents, target), target)

    async def _read_again(self, documents: list[PutOff], target: Target) -> AsyncGenerator[list[Finding], None]:
        while documents:
            part, documents = documents[:AGAIN_AT_ONCE], documents[AGAIN_AT_ONCE:]
            present = await self._engine.stored([one.document for one in part], scanned_fields(target.meta))
            found: list[Finding] = []
            for before, document in zip(part, present, strict=True):
                if document is None:
                    self._tally.settle_unwritten(before, Fate.GONE)
                    continue
                written = document.source.get(target.meta.hash_field)
                finding = decide(document, target.meta, has_vector=written != before.hash)
                if finding is None:
                    self._tally.settle_unwritten(before, Fate.UNNEEDED)
                else:
                    found.append(finding)
            if found:
                yield found

    async def _target(self) -> Target:
        meta = await self._engine.index_meta(self._index, self._fingerprint)
        model = encoder_of_index(await self._sidecar.models(), meta, self._index, self._model)
        return Target(meta, dialect_of(meta), model.name)

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Begin an attempt again while cluster or sidecar are away, until `patience` passes with nothing done."""
        await patiently(
            attempt,
            patience=self._options.patience,
            stopping=self._stopping,
            found=lambda: self.summary.found,
        )

    def _tell(self, summary: ReconcileSummary) -> None:
        if self._progress is not None:
            self._progress(summary, *self._doing)
