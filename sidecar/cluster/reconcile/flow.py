"""From findings to written vectors: encoding and writing side by side, in bounded memory, at the cluster's pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from anyio import create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.encoding import Encoded, Texts, encode_documents, refusal
from sidecar.cluster.pipeline import feed_and_write, filled
from sidecar.cluster.reconcile.finding import Finding, Reason
from sidecar.cluster.reconcile.pace import Pace
from sidecar.cluster.reconcile.patience import rest
from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.cluster.reconcile.tally import Tally
from sidecar.cluster.reconcile.writing import Fate, Ready, Writer, prepare
from sidecar.engine import Dialect, Engine, IndexMeta
from sidecar.errors import EngineRejected, EngineUnavailable, InvalidInput, SidecarError

__all__ = ["Flow", "Target"]

LOOK_SECONDS = 5.0
"""Seconds between two looks at the nodes."""

_Inlet: TypeAlias = MemoryObjectSendStream[list[Ready]]
_Outlet: TypeAlias = MemoryObjectReceiveStream[list[Ready]]


@dataclass(frozen=True, slots=True)
class Target:
    """What is written into an index: its record, the dialect, and the name of the model at the sidecar.

    `indices`: those that the record is of. A name may stand for others a moment later.
    """

    meta: IndexMeta
    dialect: Dialect
    model: str
    indices: frozenset[str]


class Flow:
    """Takes findings through the sidecar into the index; what becomes of them goes into the tally.

    `copies`: what can't be encoded is written without a vector, besides being put aside; else it is in the index
    already.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        tally: Tally,
        options: ReconcileOptions,
        stopping: asyncio.Event,
        *,
        copies: bool = False,
    ) -> None:
        self.load_visible = True
        """Whether this user may see how busy the nodes are; where not, only refused writes slow the run down."""
        self._engine = engine
        self._sidecar = sidecar
        self._tally = tally
        self._options = options
        self._stopping = stopping
        self._copies = copies
        self._pace = Pace(options.limits)
        self._looked = -LOOK_SECONDS
        rate = options.limits.rate
        # At a low rate, small batches: what is under way when a run is stopped is still written.
        self._at_once = max(1, int(rate)) if rate is not None else options.write_documents

    async def carry(self, findings: AsyncGenerator[list[Finding], None], target: Target, writer: Writer) -> None:
        """Encode and write every finding; raise EngineUnavailable or SidecarUnavailable where one went away."""
        inlet, outlet = create_memory_object_stream[list[Ready]](2)
        with inlet, outlet:
            await feed_and_write(self._feed(inlet, findings, target), self._write(outlet, writer))

    async def _feed(self, inlet: _Inlet, findings: AsyncGenerator[list[Finding], None], target: Target) -> None:
        batches = self._batches(inlet, findings, target)
        encoded = encode_documents(
            self._sidecar,
            batches,
            target.meta,
            model=target.model,
            windows=self._options.windows,
            in_flight=min(self._options.in_flight, self._at_once),
        )
        async with inlet, aclosing(batches), aclosing(encoded) as stream:
            async for documents in stream:
                ready = [found for one in documents for found in self._prepared(one, target)]
                if ready:
                    await inlet.send(ready)

    async def _batches(
        self, inlet: _Inlet, findings: AsyncGenerator[list[Finding], None], target: Target
    ) -> AsyncGenerator[Texts[Finding], None]:
        """Put aside what can't be encoded, send what has no text past the sidecar, and batch the rest."""
        batch: list[Finding] = []
        options, rule = self._options, target.meta.passages
        async for found in findings:
            bare: list[Ready] = []
            for finding in found:
                if not finding.text:
                    bare.append(prepare(Encoded(finding, ""), target.meta, target.dialect))
                elif finding.vector is not None:
                    bare.append(Ready(finding, {target.meta.hash_field: finding.hash, **finding.vector}))
                elif error := refusal(finding.text, rule, options.windows, options.max_text_bytes):
                    bare += self._put_aside(finding, error)
                else:
                    if batch and self._is_full(batch, finding):
                        yield _texts(batch)
                        batch = []
                    batch.append(finding)
            if bare:
                await inlet.send(bare)
        if batch:
            yield _texts(batch)

    def _is_full(self, batch: Sequence[Finding], more: Finding) -> bool:
        characters = sum(len(finding.text) for finding in batch) + len(more.text)
        documents = min(self._options.batch_documents, self._at_once)
        return len(batch) >= documents or characters > self._options.batch_characters

    def _prepared(self, document: Encoded[Finding], target: Target) -> list[Ready]:
        error = document.error
        if error is None:
            try:
                return [prepare(document, target.meta, target.dialect)]
            except InvalidInput as refused:
                error = refused
        return self._put_aside(document.record, error)

    def _put_aside(self, finding: Finding, error: SidecarError) -> list[Ready]:
        self._tally.fail(finding, error)
        if not self._copies or finding.reason is Reason.OUTDATED:
            return []
        return [Ready(finding, {}, has_vector=False, put_aside=True)]

    async def _write(self, outlet: _Outlet, writer: Writer) -> None:
        with outlet:
            async for first in outlet:
                ready = filled(first, outlet, self._options.write_documents)
                for part in _parts(ready, self._at_once):
                    await self._throttle(len(part))
                    await self._write_part(writer, part)

    async def _write_part(self, writer: Writer, part: Sequence[Ready]) -> None:
        overloaded, unreachable = False, ""
        async for group in writer.write(part):
            for settled in group:
                self._tally.settle(settled)
                overloaded |= settled.repeated or settled.fate is Fate.TURNED_AWAY
                if settled.fate is Fate.UNREACHABLE and not unreachable:
                    unreachable = ": ".join(part for part in (settled.error_type, settled.reason) if part) or "unknown"
        self._pace.answered(overloaded=overloaded)
        if unreachable:
            raise EngineUnavailable(
                f"The cluster, or a shard of the index, does not take writes ({unreachable.rstrip('.')}). Run the same"
                " command again when it does: what is written is not written again."
            )

    async def _throttle(self, documents: int) -> None:
        if self.load_visible and time.monotonic() - self._looked >= LOOK_SECONDS:
            try:
                self._pace.observed(await self._engine.load())
            except EngineRejected:
                self.load_visible = False
            self._looked = time.monotonic()
        pause = self._pace.pause
        self._tally.held_back(pause)
        await rest(self._stopping, max(pause, self._pace.wait_by_rate(documents)))


def _texts(batch: Sequence[Finding]) -> Texts[Finding]:
    return Texts(tuple(batch), tuple(finding.text for finding in batch))


def _parts(ready: Sequence[Ready], size: int) -> Iterator[Sequence[Ready]]:
    for start in range(0, len(ready), size):
        yield ready[start : start + size]
