"""Keeping the copy true: every document of the index that is searched, with the other model's vector.

Documents go one way, from the index that the alias stands for into the other one, so that the same run fills a new
index before the swap and keeps the old one for a roll-back after it. What has to be done is read from both indices.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import ClassVar

from sidecar.cluster.mirror.comparing import compare, orphans
from sidecar.cluster.mirror.pair import Pair, Side, require_pair
from sidecar.cluster.mirror.writing import CopyWriter
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.reconcile.finding import Finding
from sidecar.cluster.reconcile.flow import Target
from sidecar.cluster.reconcile.frame import AGAIN_AT_ONCE, VectorRun
from sidecar.cluster.reconcile.pages import PageSize
from sidecar.cluster.reconcile.tally import PutOff
from sidecar.domain import JsonObject
from sidecar.engine import ScanSpec, StoredDocument, dialect_of

__all__ = ["CopyRun"]


class CopyRun(VectorRun):
    """One run over both indices of a migration.

    In the summary, `gone` are documents that were deleted from the copy because their originals are. What the cluster
    or the sidecar refuses is copied without a vector, and put into the dead letters.
    """

    COPIES: ClassVar[bool] = True

    async def look(self, *, exact: bool = False) -> None:
        """Copy what is missing or has changed, and delete what is gone.

        Everything is compared the first time, later only what was written since. Documents that are gone are looked
        for where the copy has more than its source; `exact`: also where it has fewer. Raises InvalidInput where no
        migration is open.
        """
        await super().look()
        await self._patiently(partial(self._backward, exact))

    async def _through(self) -> None:
        await self._patiently(self._forward)

    async def _forward(self) -> None:
        pair = await require_pair(self.engine, self.index)
        source, copy = pair.serving, pair.other
        # Taken before the refresh: all that lies up to it is searchable then.
        now = await self.engine.checkpoints(source.name)
        before = self._compared.get(source.name)
        query: JsonObject = {"match_all": {}} if before is None else before.later(now)
        spec, size = ScanSpec(source.name, query, (), self.options.slices), PageSize(self.options)
        async with (
            self._reading("copying", spec, size) as pages,
            aclosing(self._findings(pages, size, source, copy)) as findings,
        ):
            await self._carry(findings, pair, source, copy)
        if not self._stopping.is_set():
            self._compared[source.name] = now

    async def _again(self) -> None:
        pair = await require_pair(self.engine, self.index)
        source, copy = pair.serving, pair.other
        waiting = self._tally.take_put_off()
        self._doing = ("trying again", len(waiting))
        await self._carry(self._read_again(waiting, source, copy), pair, source, copy)

    async def _carry(self, findings: AsyncGenerator[list[Finding], None], pair: Pair, source: Side, copy: Side) -> None:
        model = encoder_of_index(await self.sidecar.models(), copy.meta, copy.name)
        target = Target(copy.meta, dialect_of(copy.meta), model.name, frozenset({copy.name}))
        await self._flow.carry(findings, target, CopyWriter(self.engine, pair.record.alias, source.name))

    async def _findings(
        self, pages: AsyncGenerator[list[StoredDocument], None], size: PageSize, source: Side, copy: Side
    ) -> AsyncGenerator[list[Finding], None]:
        async for page in pages:
            found = await compare(self.engine, source, copy, page)
            size.learn([finding.document for finding in found])
            yield [finding for finding in found if not self._tally.was_refused(finding.document)]

    async def _read_again(
        self, waiting: Sequence[PutOff], source: Side, copy: Side
    ) -> AsyncGenerator[list[Finding], None]:
        for start in range(0, len(waiting), AGAIN_AT_ONCE):
            yield await compare(
                self.engine, source, copy, [one.document for one in waiting[start : start + AGAIN_AT_ONCE]]
            )

    async def _backward(self, exact: bool) -> None:
        pair = await require_pair(self.engine, self.index)
        source, copy = pair.serving, pair.other
        await self.engine.refresh(f"{source.name},{copy.name}")
        originals, copies = await self.engine.count(source.name), await self.engine.count(copy.name)
        if copies == originals or (copies < originals and not exact):
            return
        writer = CopyWriter(self.engine, pair.record.alias, source.name)
        everything = ScanSpec(copy.name, {"match_all": {}}, ())
        async with self._reading("looking for deleted documents", everything, PageSize(self.options)) as pages:
            async for page in pages:
                gone = await orphans(self.engine, source, page)
                if gone:
                    self._tally.deleted(await writer.delete(gone))
