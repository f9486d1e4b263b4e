"""`AsyncSparseWriter`: an application's own writes, each document with its vector from the moment it can be found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.documents import json_fields, source_text, write_action
from sidecar.cluster.encoding import Encoded, Texts, encode_documents, refusal
from sidecar.cluster.models import encoder_of_index
from sidecar.cluster.outcomes import Stage, WriteMode, WriteOutcome, WriterOptions
from sidecar.cluster.second_model import SecondModel
from sidecar.domain import Document
from sidecar.engine import BulkAction, BulkItem, BulkOperation, Dialect, Engine, IndexMeta, dialect_of, require_one_name
from sidecar.engine.bulk_writer import NOT_SEARCHABLE
from sidecar.errors import EngineError, FingerprintMismatch, InvalidInput, SidecarError, UnknownModel, wire_error

__all__ = ["AsyncSparseWriter", "Stage", "WriteMode", "WriteOutcome", "WriterOptions"]


@dataclass(frozen=True, slots=True)
class _Target:
    meta: IndexMeta
    dialect: Dialect
    model: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A document with its position in the call."""

    position: int
    document: Document


@dataclass(frozen=True, slots=True)
class _Write:
    place: _Place
    action: BulkAction
    has_vector: bool
    truncated: bool


class AsyncSparseWriter:
    """Encodes documents and writes them whole, in place of an application's own bulk calls.

    Holds no connection of its own: it neither opens nor closes what it is given. Safe to share between tasks of one
    event loop; calls beyond `options.in_flight` batches wait, so that a slow cluster slows the application down and
    memory stays bounded. Raises InvalidInput where `index` may stand for several.

    Usage:
        async with await Engine.connect("http://127.0.0.1:9200") as engine, AsyncSidecarClient() as sidecar:
            writer = AsyncSparseWriter(engine, sidecar, "articles")
            outcomes = await writer.write([Document("7", {"title": "Wings", "text": "Why wings stall"})])
            failed = [outcome for outcome in outcomes if not outcome.written]
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        index: str,
        options: WriterOptions | None = None,
        *,
        model: str | None = None,
    ) -> None:
        require_one_name(index)
        self.index = index
        self._engine = engine
        self._sidecar = sidecar
        self._options = options or WriterOptions()
        self._model = model
        self._places = asyncio.Semaphore(self._options.in_flight)
        self._second = SecondModel(engine, sidecar, index, self._options.windows, seconds=self._options.record_seconds)
        self._known: _Target | None = None
        self._read_at = 0.0

    async def write(
        self, documents: Sequence[Document], *, mode: WriteMode = BulkOperation.INDEX, refresh: bool = False
    ) -> tuple[WriteOutcome, ...]:
        """Write documents with their vectors; return one outcome for each, in order.

        A document that can't be encoded or written costs nothing but itself. What stands in vector and hash field is
        replaced. `refresh` makes the documents searchable before the answer.

        Where the index is deleted meanwhile, no outcome is a written one: it is not made again, without its mapping.

        Raises, with nothing or only some of the documents written: IndexNotFound, IndexNotPrepared, FingerprintMismatch
        (the sidecar serves another model than the index's), UnknownModel, SidecarUnavailable.
        """
        places = [_Place(position, document) for position, document in enumerate(documents)]
        found: dict[int, WriteOutcome] = {}
        target = await self._target()
        outdated = await self._write(places, target, mode, refresh, found)
        if outdated is not None:
            # The index may have been migrated since its record was read. What has its outcome is not written again:
            # a document that was created would be a conflict with itself.
            fresh = await self._target(anew=True)
            if fresh.meta.fingerprint == target.meta.fingerprint:
                raise outdated
            left = [place for place in places if place.position not in found]
            outdated = await self._write(left, fresh, mode, refresh, found)
            if outdated is not None:
                raise outdated
        return tuple(found[place.position] for place in places)

    async def delete(self, ids: Sequence[str], *, refresh: bool = False) -> tuple[WriteOutcome, ...]:
        """Delete documents; one that is not there counts as deleted. Returns one outcome for each, in order.

        Raises InvalidInput for one id in the place of several.
        """
        if isinstance(ids, str):
            raise InvalidInput("ids must be a sequence of ids, not one id: put it in a list.", field="ids")
        found: dict[int, WriteOutcome] = {}
        actions: dict[int, BulkAction] = {}
        for position, document_id in enumerate(ids):
            try:
                actions[position] = BulkAction(self.index, document_id, operation=BulkOperation.DELETE)
            except InvalidInput as error:
                found[position] = WriteOutcome(document_id, Stage.WRITE, wire_error(error).reason, error.message)
        async with self._places:
            items = await self._engine.bulk(list(actions.values()), refresh=refresh)
        found.update(zip(actions, map(_outcome, items), strict=True))
        return tuple(found[position] for position in range(len(ids)))

    async def _write(
        self,
        places: Sequence[_Place],
        target: _Target,
        mode: WriteMode,
        refresh: bool,
        found: dict[int, WriteOutcome],
    ) -> FingerprintMismatch | UnknownModel | None:
        """Enter the outcome of every document into `found`, or return why some have none: the model is another one.

        What is under way then is finished before: a write whose outcome nobody knows can't be left out afterwards.
        """
        batches: list[list[_Place]] = [[]]
        texts: dict[int, str] = {}
        size = 0
        for place in places:
            text = source_text(place.document.id, place.document.fields, target.meta)
            error = refusal(text, target.meta.passages, self._options.windows, self._options.max_text_bytes)
            if error is not None:
                found[place.position] = _not_encoded(place.document.id, error)
                continue
            texts[place.position] = text
            full = len(batches[-1]) >= self._options.batch_documents
            if batches[-1] and (full or size + len(text) > self._options.batch_characters):
                batches.append([])
                size = 0
            batches[-1].append(place)
            size += len(text)
        outdated: list[FingerprintMismatch | UnknownModel] = []
        # A wait for the next refresh in each batch would be a second for each few of them.
        together = refresh and len(batches) > 1 and await self._engine.refresher.allowed([self.index])
        each = refresh and not together

        async def one(batch: Sequence[_Place]) -> None:
            if outdated:
                return
            try:
                found.update(await self._batch(batch, texts, target, mode, each))
            except (FingerprintMismatch, UnknownModel) as error:
                outdated.append(error)

        # Two versions of one document in one call must not overtake each other.
        distinct = len({place.document.id for place in places}) == len(places)
        work = [partial(one, batch) for batch in batches if batch]
        if distinct:
            await _side_by_side(work)
        else:
            for step in work:
                await step()
        if together:
            await self._refresh(found)
        return outdated[0] if outdated else None

    async def _refresh(self, found: dict[int, WriteOutcome]) -> None:
        written = {position: outcome for position, outcome in found.items() if outcome.written}
        try:
            await self._engine.refresher.refresh([self.index] if written else [])
        except EngineError as error:
            for position, outcome in written.items():
                found[position] = replace(
                    outcome,
                    stage=Stage.WRITE,
                    reason=type(error).__name__,
                    message=f"{NOT_SEARCHABLE}{error.message}",
                    retriable=True,
                )

    async def _batch(
        self, batch: Sequence[_Place], texts: dict[int, str], target: _Target, mode: WriteMode, refresh: bool
    ) -> dict[int, WriteOutcome]:
        async with self._places:
            encoded = [Encoded(place, "") for place in batch if not texts[place.position]]
            asked = [place for place in batch if texts[place.position]]
            if asked:
                encoded += await self._encoded(Texts(tuple(asked), tuple(texts[one.position] for one in asked)), target)
            found: dict[int, WriteOutcome] = {}
            writes: list[_Write] = []
            for one in encoded:
                prepared = self._prepared(one, target, mode)
                if isinstance(prepared, WriteOutcome):
                    found[one.record.position] = prepared
                else:
                    writes.append(prepared)
            writes.sort(key=lambda write: write.place.position)
            actions = await self._second.added([write.action for write in writes], target.meta)
            items = await self._engine.bulk(actions, refresh=refresh)
        if any(item.index_missing for item in items):
            # The next call looks for it, and raises IndexNotFound where it was not set up anew.
            self._known = None
        for write, item in zip(writes, items, strict=True):
            found[write.place.position] = _outcome(item, write)
        return found

    async def _encoded(self, texts: Texts[_Place], target: _Target) -> list[Encoded[_Place]]:
        async def once() -> AsyncIterator[Texts[_Place]]:
            yield texts

        stream = encode_documents(
            self._sidecar, once(), target.meta, model=target.model, windows=self._options.windows, in_flight=1
        )
        async with aclosing(stream) as answers:
            return [one async for answer in answers for one in answer]

    def _prepared(self, document: Encoded[_Place], target: _Target, mode: WriteMode) -> _Write | WriteOutcome:
        place = document.record
        if document.error is not None:
            return _not_encoded(place.document.id, document.error)
        try:
            fields = json_fields(place.document)
            action = write_action(
                self.index, place.document.id, fields, document.text, document.vector, target.meta, target.dialect
            )
            action = BulkAction(action.index, action.id, action.document, mode)
        except InvalidInput as error:
            return _not_encoded(place.document.id, error)
        return _Write(place, action, document.vector is not None, document.truncated)

    async def _target(self, *, anew: bool = False) -> _Target:
        known = self._known
        if known is None or anew or time.monotonic() - self._read_at > self._options.record_seconds:
            meta = await self._engine.index_meta(self.index)
            model = encoder_of_index(await self._sidecar.models(), meta, self.index, self._model)
            known = self._known = _Target(meta, dialect_of(meta), model.name)
            self._read_at = time.monotonic()
        return known


async def _side_by_side(work: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Do all of it; the first error cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(one()) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _not_encoded(document_id: str, error: SidecarError) -> WriteOutcome:
    return WriteOutcome(document_id, Stage.ENCODE, wire_error(error).reason, error.message)


def _outcome(item: BulkItem, write: _Write | None = None) -> WriteOutcome:
    if item.written:
        if write is None:
            return WriteOutcome(item.action.id)
        return WriteOutcome(item.action.id, has_vector=write.has_vector, truncated=write.truncated)
    retriable = item.unreachable or item.blocked or item.status in {429, 502, 503, 504}
    return WriteOutcome(item.action.id, Stage.WRITE, item.error_type or "UNKNOWN", item.reason, retriable)
