"""`sidecar index`: documents in, whole documents with their vectors out, in bounded memory and with nothing lost.

Reading, encoding and writing overlap. What is under way is bounded by the batches the sidecar has not answered and by
the queue in front of the cluster; a slow cluster slows the reading down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeAlias

from anyio import create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.dead_letters import DeadLetters
from sidecar.cluster.documents import source_text, write_action
from sidecar.cluster.encoding import Encoded, Texts, encode_documents, refusal
from sidecar.cluster.fields import NAMED_FIELDS
from sidecar.cluster.index_summary import IndexOptions, IndexSummary
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.pipeline import feed_and_write, filled
from sidecar.cluster.present import require_present
from sidecar.cluster.records import Record, RecordSource, Unreadable
from sidecar.cluster.second_model import SecondModel
from sidecar.engine import BulkAction, BulkItem, Dialect, Engine, IndexMeta, dialect_of, require_one_name
from sidecar.errors import (
    DocumentsNotWritten,
    EngineRejected,
    EngineUnavailable,
    InvalidInput,
    wire_error,
)

__all__ = ["IndexRun"]

BLOCKED_BATCHES = 2
"""So many batches that an index refuses altogether, one after the other; one, where `migrate swap` is over by then."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document on its way into the cluster; `vector` says whether it has one."""

    record: Record
    action: BulkAction
    vector: bool


_Inlet: TypeAlias = MemoryObjectSendStream[list[_Ready]]
_Outlet: TypeAlias = MemoryObjectReceiveStream[list[_Ready]]


class IndexRun:
    """One run over one source. `summary` can be read at any time, also after a failure.

    Raises InvalidInput where `index` may stand for several.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        index: str,
        source: RecordSource,
        dead_letters: DeadLetters,
        options: IndexOptions | None = None,
        *,
        model: str | None = None,
        progress: Callable[[IndexSummary], None] | None = None,
    ) -> None:
        require_one_name(index)
        self.summary = IndexSummary()
        self._engine = engine
        self._sidecar = sidecar
        self._index = index
        self._source = source
        self._dead_letters = dead_letters
        self._options = options or IndexOptions()
        self._model = model
        self._progress = progress
        self._started = time.monotonic()
        self._source_fields: tuple[str, ...] = ()
        self._other_fields: dict[str, None] = {}
        self._blocked_batches = 0

    def textless_because(self) -> str | None:
        """Say why nothing that was written has a vector: none of it has a text. None: some has, or nothing is written.

        Names the fields that the index's text is read from, and those that the documents have.
        """
        now = self.summary
        if not now.written or now.encoded:
            return None
        seen = list(self._other_fields)[:NAMED_FIELDS]
        more = ", …" if len(self._other_fields) > NAMED_FIELDS else ""
        return (
            f"None of the {now.written} documents has a text: {self._index} reads {', '.join(self._source_fields)}, the"
            f" documents have {', '.join(seen) + more if seen else 'no fields'}."
        )

    async def run(self) -> IndexSummary:
        """Index everything; raise DocumentsNotWritten where some documents are in the dead letters.

        Nothing is written before the fingerprint of the sidecar's model is found to be the index's. Where sidecar or
        cluster go away for good, what is under way is finished as far as possible, and SidecarUnavailable or
        EngineUnavailable is raised: running again writes the same documents under the same ids.
        """
        meta = await self._engine.index_meta(self._index)
        model = encoder_of_index(await self._sidecar.models(), meta, self._index, self._model)
        self._source_fields = meta.source_fields
        self._started = time.monotonic()
        inlet, outlet = create_memory_object_stream[list[_Ready]](self._options.queued_batches)
        with inlet, outlet:
            await feed_and_write(self._feed(inlet, meta, model.name), self._write(outlet, meta))
        if self._options.refresh:
            await self._engine.refresh(self._index)
        self._count()
        if self.summary.failed:
            where = f": they are in {self._dead_letters.path}." if self._dead_letters.path else "."
            raise DocumentsNotWritten(f"{self.summary.failed} of {self.summary.read} documents were not written{where}")
        return self.summary

    async def _feed(self, inlet: _Inlet, meta: IndexMeta, model: str) -> None:
        dialect = dialect_of(meta)
        batches = self._batches(inlet, meta, dialect)
        encoded = encode_documents(
            self._sidecar,
            batches,
            meta,
            model=model,
            windows=self._options.windows,
            in_flight=self._options.in_flight,
        )
        async with inlet, aclosing(batches), aclosing(encoded) as stream:
            async for documents in stream:
                ready = [found for document in documents if (found := self._prepared(document, meta, dialect))]
                if ready:
                    await inlet.send(ready)

    async def _batches(self, inlet: _Inlet, meta: IndexMeta, dialect: Dialect) -> AsyncGenerator[Texts[Record], None]:
        """Read, put aside what can't be encoded, send what has no text past the sidecar, and batch the rest."""
        records: list[Record] = []
        texts: list[str] = []
        size = 0
        while taken := await asyncio.to_thread(self._source.take, self._options.batch_documents):
            self._count(read=len(taken))
            bare: list[_Ready] = []
            for item in taken:
                if isinstance(item, Unreadable):
                    self._fail(item, "read", item.reason, item.message)
                    continue
                text = source_text(item.id, item.fields, meta)
                if not text:
                    if len(self._other_fields) <= NAMED_FIELDS:
                        self._other_fields.update(dict.fromkeys(item.fields))
                    found = self._prepared(Encoded(item, text), meta, dialect)
                    bare += [found] if found else []
                elif error := refusal(text, meta.passages, self._options.windows, self._options.max_text_bytes):
                    self._put_aside(Encoded(item, text, error=error))
                else:
                    full = len(texts) >= self._options.batch_documents
                    if texts and (full or size + len(text) > self._options.batch_characters):
                        yield Texts(tuple(records), tuple(texts))
                        records, texts, size = [], [], 0
                    records.append(item)
                    texts.append(text)
                    size += len(text)
            if bare:
                await inlet.send(bare)
        if texts:
            yield Texts(tuple(records), tuple(texts))

    def _prepared(self, document: Encoded[Record], meta: IndexMeta, dialect: Dialect) -> _Ready | None:
        """Return the write of a document, or put it aside and return None."""
        if document.error is not None:
            self._put_aside(document)
            return None
        record = document.record
        try:
            action = write_action(self._index, record.id, record.fields, document.text, document.vector, meta, dialect)
        except InvalidInput as error:
            self._put_aside(replace(document, error=error))
            return None
        if document.vector is not None:
            self._count(encoded=1, truncated=int(document.truncated))
        return _Ready(record, action, document.vector is not None)

    async def _write(self, outlet: _Outlet, meta: IndexMeta) -> None:
        second = SecondModel(self._engine, self._sidecar, self._index, self._options.windows)
        with outlet:
            async for first in outlet:
                ready = filled(first, outlet, self._options.write_documents)
                await require_present(self._engine, self._index, self.summary.written)
                self._settle(ready, await self._engine.bulk(await second.added([one.action for one in ready], meta)))

    def _settle(self, ready: list[_Ready], items: tuple[BulkItem, ...]) -> None:
        """Count what was written, put the rest aside; raise where going on makes no sense."""
        for one, item in zip(ready, items, strict=True):
            if item.written:
                self._count(written=1, without_vector=int(not one.vector))
            else:
                self._fail(one.record, "write", item.error_type or "UNKNOWN", item.reason)
        away = next((item for item in items if item.unreachable), None)
        if away is not None:
            raise EngineUnavailable(
                f"The cluster went away ({away.reason.rstrip('.')}): {self.summary.written} documents are written. Run"
                " the same command again when it is back: ids are kept, nothing is written twice."
            )
        self._blocked_batches = self._blocked_batches + 1 if all(item.blocked for item in items) else 0
        if self._blocked_batches == BLOCKED_BATCHES or all(item.held_up for item in items):
            raise EngineRejected(
                f"{self._index} refuses writes: {items[0].reason} {self.summary.written} documents are written. Take"
                " the block out, or free disk space where the cluster set it, and run the same command again."
            )
        refused = next((item for item in items if item.request_refused), None)
        if refused is not None:
            raise EngineRejected(refused.reason)

    def _put_aside(self, document: Encoded[Record]) -> None:
        error = document.error
        if error is None:
            raise AssertionError("A document is put aside for an error; this is a bug.")
        self._fail(document.record, "encode", wire_error(error).reason, error.message)

    def _fail(self, item: Record | Unreadable, stage: str, reason: str, message: str) -> None:
        document = item.fields if isinstance(item, Record) else None
        self._dead_letters.add(item.line, item.id, stage, reason, message, document, source=item.source)
        self._count(failed=1)

    def _count(
        self,
        *,
        read: int = 0,
        encoded: int = 0,
        written: int = 0,
        without_vector: int = 0,
        truncated: int = 0,
        failed: int = 0,
    ) -> None:
        now = self.summary
        self.summary = IndexSummary(
            read=now.read + read,
            encoded=now.encoded + encoded,
            written=now.written + written,
            without_vector=now.without_vector + without_vector,
            truncated=now.truncated + truncated,
            failed=now.failed + failed,
            seconds=time.monotonic() - self._started,
        )
        if self._progress is not None:
            self._progress(self.summary)
