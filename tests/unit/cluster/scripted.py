"""An engine whose answers a test writes down: documents by index and id, and what becomes of each write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, BulkItem, Engine, StoredDocument
from sidecar.errors import EngineError

Outcome = tuple[int, str]
"""Status and error type of one write."""


class ScriptedEngine:
    """Holds documents; `outcome` decides what a write is answered. Nothing is written."""

    def __init__(
        self,
        held: Sequence[StoredDocument] = (),
        outcome: Callable[[BulkAction], Outcome] = lambda _: (200, ""),
        behind: JsonObject | None = None,
    ) -> None:
        self.held = {(one.index, one.id): one for one in held}
        self.outcome = outcome
        self.behind = behind
        self.written: list[list[BulkAction]] = []
        self.reads: list[str] = []
        self.away: EngineError | None = None

    @property
    def engine(self) -> Engine:
        return cast("Engine", self)

    async def bulk(self, actions: Sequence[BulkAction], *, refresh: bool = False) -> tuple[BulkItem, ...]:
        self.written.append(list(actions))
        return tuple(BulkItem(action, *self.outcome(action), reason="because") for action in actions)

    async def stored(
        self, documents: Sequence[StoredDocument], fields: Sequence[str]
    ) -> tuple[StoredDocument | None, ...]:
        if self.away is not None:
            raise self.away
        return tuple(self.held.get((one.index, one.id)) for one in documents)

    async def whole(
        self, index: str, documents: Sequence[StoredDocument], without: Sequence[str] = ()
    ) -> tuple[StoredDocument | None, ...]:
        self.reads.append(index)
        return tuple(self.held.get((index, one.id)) for one in documents)

    async def find(self, path: str) -> JsonObject | None:
        return self.behind
