"""Whole-document writes while an index is migrated: the document gets the vector of the second model as well.

Without it, a document that is written whole would lack that vector until `sidecar reconcile` finds it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.documents import source_text, write_action
from sidecar.cluster.encoding import Encoded, Texts, encode_documents
from sidecar.cluster.models import encoder_of_index
from sidecar.domain import Windows
from sidecar.engine import BulkAction, Dialect, Engine, IndexMeta, MigrationRecord, dialect_of
from sidecar.errors import InvalidInput, SidecarError

__all__ = ["SecondModel"]


@dataclass(frozen=True, slots=True)
class _Target:
    meta: IndexMeta
    dialect: Dialect
    model: str


class SecondModel:
    """Adds the vectors of the model that an open migration keeps besides the one that a writer writes for.

    What the index says is believed for `seconds`. What can't be found out, a second model that can't be reached or that
    refuses a text hold no write up: that document is left to `sidecar reconcile`, which looks for just that.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        index: str,
        windows: Windows,
        *,
        batch_documents: int = 32,
        batch_characters: int = 65_536,
        in_flight: int = 4,
        seconds: float = 30.0,
    ) -> None:
        self._engine = engine
        self._sidecar = sidecar
        self._index = index
        self._windows = windows
        self._batch_documents = batch_documents
        self._batch_characters = batch_characters
        self._in_flight = in_flight
        self._seconds = seconds
        self._kept: tuple[IndexMeta, ...] = ()
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    async def added(self, actions: Sequence[BulkAction], first: IndexMeta) -> list[BulkAction]:
        """Return the same writes, in order, with the fields of the other model; `first` is the one they are made for.

        Every action writes a whole document.
        """
        target = await self._target(first)
        if target is None:
            return list(actions)
        done = list(actions)
        texts: dict[int, str] = {}
        for place, action in enumerate(actions):
            text = source_text(action.id, action.document or {}, target.meta)
            if text:
                texts[place] = text
            else:
                done[place] = _with_fields(action, Encoded(place, ""), target)
        stream = encode_documents(
            self._sidecar,
            self._batches(texts),
            target.meta,
            model=target.model,
            windows=self._windows,
            in_flight=self._in_flight,
        )
        with suppress(SidecarError):
            async with aclosing(stream) as answers:
                async for answer in answers:
                    for one in answer:
                        if one.error is None:
                            done[one.record] = _with_fields(actions[one.record], one, target)
        return done

    async def _batches(self, texts: dict[int, str]) -> AsyncIterator[Texts[int]]:
        for part in self._parts(texts):
            yield Texts(tuple(part), tuple(texts[place] for place in part))

    def _parts(self, texts: dict[int, str]) -> Iterator[list[int]]:
        part: list[int] = []
        size = 0
        for place, text in texts.items():
            if part and (len(part) >= self._batch_documents or size + len(text) > self._batch_characters):
                yield part
                part, size = [], 0
            part.append(place)
            size += len(text)
        if part:
            yield part

    async def _target(self, first: IndexMeta) -> _Target | None:
        async with self._reading:
            if time.monotonic() - self._read_at > self._seconds:
                with suppress(SidecarError):
                    self._kept = await _kept(self._engine, self._index)
                self._read_at = time.monotonic()
        second = next((meta for meta in self._kept if meta.fingerprint != first.fingerprint), None)
        if second is None:
            return None
        try:
            model = encoder_of_index(await self._sidecar.models(), second, self._index)
        except SidecarError:
            return None
        return _Target(second, dialect_of(second), model.name)


async def _kept(engine: Engine, index: str) -> tuple[IndexMeta, ...]:
    """Return the records of the models that an index keeps up to date; only the searched one of several indices."""
    active = await engine.index_meta(index)
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        return (active,)
    ((name, mapping),) = mappings.items()
    migration = MigrationRecord.parse(name, mapping.get("_meta"))
    other = None if migration is None else migration.kept
    return (active,) if other is None else (active, other)


def _with_fields(action: BulkAction, document: Encoded[int], target: _Target) -> BulkAction:
    try:
        added = write_action(
            action.index, action.id, action.document or {}, document.text, document.vector, target.meta, target.dialect
        )
    except InvalidInput:
        return action
    return replace(action, document=added.document)
