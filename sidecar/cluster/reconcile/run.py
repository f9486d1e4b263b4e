"""`sidecar reconcile`: every document of an index gets the vector of its text as it is now.

What has to be done is read from the index itself; every write is conditional on the version of the document that was
read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.reconcile.finding import Finding, complete_query, decide, incomplete_query, scanned_fields
from sidecar.cluster.reconcile.flow import Target
from sidecar.cluster.reconcile.frame import AGAIN_AT_ONCE, VectorRun
from sidecar.cluster.reconcile.own_writes import OwnWrites, read_shards
from sidecar.cluster.reconcile.pages import PageSize
from sidecar.cluster.reconcile.tally import PutOff
from sidecar.cluster.reconcile.writing import Fate, VectorWriter
from sidecar.cluster.unstored import require_stored
from sidecar.domain import JsonObject
from sidecar.engine import ScanSpec, StoredDocument, dialect_of

__all__ = ["ReconcileRun"]


@dataclass(eq=False, repr=False)
class ReconcileRun(VectorRun):
    """One run over one index, or over an alias's indices.

    `fingerprint` names one of the two models of an index that is being migrated; None: the one that is searched.
    """

    model: str | None = field(default=None, kw_only=True)
    fingerprint: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._own = OwnWrites()

    async def _through(self) -> None:
        await self._patiently(self._fill)
        if self.options.changed:
            await self._patiently(self._compare)

    async def _fill(self) -> None:
        """Find the documents without a vector of the model: the index knows them, few are read in vain."""
        target = await self._target()
        for name, mapping in (await self.engine.mappings(self.index)).items():
            require_stored(name, mapping, target.dialect.written_fields(target.meta.vector_field))
        self._own.begin(await read_shards(self.engine, self.index))
        query = incomplete_query(target.meta, target.dialect, self.options.where)
        await self._scan("filling", query, target, has_vector=False)

    async def _compare(self) -> None:
        """Compare text and hash of all the others, but for what this run wrote and nobody has written since.

        Following, only of those written since the last comparison.
        """
        target = await self._target()
        # Taken before the refresh: all that lies up to it is searchable then.
        now = (await self.engine.checkpoints(self.index)).only(target.indices) if self.options.follow else None
        before = self._compared.get(self.index)
        query = complete_query(target.meta, target.dialect, self.options.where)
        if now is not None and before is not None:
            query = {"bool": {"filter": [query, before.later(now)]}}
        query = self._own.left_out(query, await read_shards(self.engine, self.index))
        await self._scan("comparing", query, target, has_vector=True)
        if now is not None:
            self._compared[self.index] = now

    async def _scan(self, doing: str, query: JsonObject, target: Target, *, has_vector: bool) -> None:
        # By the name, since an alias may have a filter; but in no index that it stands for since the model was read.
        known: JsonObject = {"bool": {"filter": [query, {"terms": {"_index": sorted(target.indices)}}]}}
        spec = ScanSpec(self.index, known, scanned_fields(target.meta), self.options.slices)
        size = PageSize(self.options)
        async with (
            self._reading(doing, spec, size) as pages,
            aclosing(self._findings(pages, size, target, has_vector=has_vector)) as findings,
        ):
            await self._flow.carry(findings, target, self._writer(target))

    async def _findings(
        self, pages: AsyncGenerator[list[StoredDocument], None], size: PageSize, target: Target, *, has_vector: bool
    ) -> AsyncGenerator[list[Finding], None]:
        async for page in pages:
            size.learn(page)
            decided = [
                decide(document, target.meta, has_vector=has_vector)
                for document in page
                if not self._tally.was_refused(document)
            ]
            found = [finding for finding in decided if finding is not None]
            if found:
                yield found

    async def _again(self) -> None:
        """Read documents that were put off once more, whatever the index has refreshed, and carry them through.

        Those of an index that the name no longer stands for need nothing any more.
        """
        target = await self._target()
        documents: list[PutOff] = []
        for one in self._tally.take_put_off():
            if one.document.index in target.indices:
                documents.append(one)
            else:
                self._tally.settle_unwritten(one, Fate.UNNEEDED)
        self._doing = ("trying again", len(documents))
        await self._flow.carry(self._read_again(documents, target), target, self._writer(target))

    async def _read_again(self, documents: list[PutOff], target: Target) -> AsyncGenerator[list[Finding], None]:
        while documents:
            part, documents = documents[:AGAIN_AT_ONCE], documents[AGAIN_AT_ONCE:]
            present = await self.engine.stored([one.document for one in part], scanned_fields(target.meta))
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

    def _writer(self, target: Target) -> VectorWriter:
        return VectorWriter(self.engine, target.meta, target.dialect, self._own)

    async def _target(self) -> Target:
        meta = await self.engine.index_meta(self.index, self.fingerprint)
        # Nothing else runs between the two lines: these are the indices whose mappings were read just now.
        indices = self.engine.holders(self.index, meta)
        model = encoder_of_index(await self.sidecar.models(), meta, self.index, self.model)
        return Target(meta, dialect_of(meta), model.name, indices)
