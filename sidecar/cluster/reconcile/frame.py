"""What all runs that give an index its vectors have in common, whatever it is that they look for.

What has to be done is read from the indices themselves, so that a run can be killed at any moment and started again,
and several can work side by side.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.pipeline import merged
from sidecar.cluster.reconcile.flow import Flow
from sidecar.cluster.reconcile.pages import PageSize
from sidecar.cluster.reconcile.patience import LONGEST_WAIT, PASSING, patiently, rest
from sidecar.cluster.reconcile.summary import ReconcileOptions, ReconcileSummary
from sidecar.cluster.reconcile.tally import Tally
from sidecar.engine import Checkpoints, Engine, Scan, ScanSpec, StoredDocument, require_one_name
from sidecar.errors import DocumentsNotWritten, IndexNotFound

__all__ = ["AGAIN_AT_ONCE", "Progress", "Run", "VectorRun"]

AGAIN_ROUNDS = 5
"""How often documents that were put off are tried again within one round."""

AGAIN_AT_ONCE = 500
"""How many of them are read at once."""

Progress = Callable[[ReconcileSummary, str, int], None]
"""Called with the summary, what is being done, and how many documents that is about."""


@dataclass(eq=False, repr=False)
class Run(ABC):
    """Looks at an index once, or, following, again and again. `summary` can be read at any time, also after a failure.

    `index` may be an alias, also of several indices; InvalidInput is raised for a pattern or a list. Documents that
    can't be encoded or written go to the dead letters.
    """

    engine: Engine
    sidecar: AsyncSidecarClient
    index: str
    dead_letters: DeadLetters
    options: ReconcileOptions = field(default_factory=ReconcileOptions)
    progress: Progress | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        require_one_name(self.index)
        self._stopping = asyncio.Event()

    @property
    @abstractmethod
    def summary(self) -> ReconcileSummary:
        """What is done so far."""

    @property
    @abstractmethod
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""

    def stop(self) -> None:
        """End the run soon: nothing more is read, what is under way is written."""
        self._stopping.set()

    async def run(self) -> ReconcileSummary:
        """Work until nothing is left, or, following, until `stop` is called.

        Raises DocumentsNotWritten where documents are in the dead letters, or left for another run, or where the run
        was stopped before it had seen everything. FingerprintMismatch where the sidecar serves another model;
        EngineUnavailable, SidecarUnavailable and their like when `patience` is at its end.
        """
        await self.look()
        while self.options.follow and not self._stopping.is_set():
            await rest(self._stopping, self.options.interval)
            if not self._stopping.is_set():
                await self.look()
        self.require_done()
        return self.summary

    @abstractmethod
    async def look(self) -> None:
        """Go through the index once. A run that follows compares only what was written since its look before."""

    @abstractmethod
    def require_done(self) -> None:
        """Raise DocumentsNotWritten where something was left, as `run` does at its end."""


class VectorRun(Run):
    """Reads the documents of one index, finds those that have to be written, and carries them through the sidecar.

    `_compared` holds, of each index, up to where a look has compared everything; what is forgotten there is compared
    again.
    """

    COPIES: ClassVar[bool] = False
    """Whether documents are written into another index than they are read from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._doing = ("", 0)
        self._compared: dict[str, Checkpoints] = {}
        self._tally = Tally(self.dead_letters, self._tell)
        self._flow = Flow(self.engine, self.sidecar, self._tally, self.options, self._stopping, copies=self.COPIES)

    @property
    def summary(self) -> ReconcileSummary:
        """What is done so far."""
        return self._tally.summary

    @property
    def load_visible(self) -> bool:
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""
        return self._flow.load_visible

    def require_done(self) -> None:
        """Raise DocumentsNotWritten where something was left, as `run` does at its end."""
        summary = self.summary
        reasons: list[str] = []
        if summary.failed:
            where = f" (they are in {self.dead_letters.path})" if self.dead_letters.path else ""
            reasons.append(f"{summary.failed} documents could not be encoded or written{where}")
        if summary.left:
            reasons.append(f"{summary.left} changed too fast or were turned away each time: run it again")
        if self._stopping.is_set() and not self.options.follow:
            reasons.append("the run was stopped before its end: run it again")
        if reasons:
            told = "; ".join(reasons)
            # Not capitalize(): the file of the dead letters is called as it is called.
            raise DocumentsNotWritten(f"{told[0].upper()}{told[1:]}.")

    async def look(self) -> None:
        """Go through the index once. A run that follows compares only what was written since its look before."""
        await self._from_the_beginning()
        for number in range(AGAIN_ROUNDS):
            if not self.summary.left or self._stopping.is_set():
                break
            await rest(self._stopping, min(LONGEST_WAIT, 0.2 * 2**number))
            try:
                await self._again()
            except (*PASSING, IndexNotFound):
                # Which of them are done by now, only the index knows.
                self._compared.clear()
                await self._from_the_beginning()
        if self.summary.left:
            self._compared.clear()

    async def _from_the_beginning(self) -> None:
        self._tally.begin()
        await self._through()
        if not self._stopping.is_set():
            self._tally.gone_through()

    @abstractmethod
    async def _through(self) -> None:
        """Go through the index from its beginning, patiently."""

    @abstractmethod
    async def _again(self) -> None:
        """Read documents that were put off once more, and carry them through."""

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Begin an attempt again while cluster or sidecar are away, until `patience` passes with nothing done.

        Once more, too, where an index was deleted that the name stood for when the attempt began: where others are
        left, the name knows them; where it is gone itself, the second attempt says so.
        """

        async def attempted() -> None:
            try:
                await attempt()
            except IndexNotFound:
                await attempt()

        await patiently(
            attempted,
            patience=self.options.patience,
            stopping=self._stopping,
            found=lambda: self.summary.found,
        )

    @asynccontextmanager
    async def _reading(
        self, doing: str, spec: ScanSpec, size: PageSize
    ) -> AsyncIterator[AsyncGenerator[list[StoredDocument], None]]:
        """Open the pages of a scan, its slices side by side; they end where it ends, or the run is stopped."""
        # A point in time sees what is refreshed: without this, what was just written would be found once more.
        await self.engine.refresh(spec.index)
        self._doing = (doing, self.summary.scanned + await self.engine.count(spec.index, spec.query))
        async with self.engine.scan(spec) as scan, aclosing(self._pages(scan, spec.slices, size)) as pages:
            yield pages

    async def _pages(self, scan: Scan, slices: int, size: PageSize) -> AsyncGenerator[list[StoredDocument], None]:
        async with aclosing(merged([partial(scan.pages, part, size) for part in range(slices)])) as pages:
            async for page in pages:
                if self._stopping.is_set():
                    return
                self._tally.scanned(len(page))
                yield page

    def _tell(self, summary: ReconcileSummary) -> None:
        if self.progress is not None:
            self.progress(summary, *self._doing)
