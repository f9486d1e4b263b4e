"""An engine and a sidecar whose answers a test writes down: documents, what becomes of writes, what is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import cast

from sidecar.client import AsyncSidecarClient, StreamOutcome
from sidecar.domain import EncodeResult, Encoding, JsonObject, ModelInfo, SparseVector
from sidecar.engine import BulkAction, BulkItem, Engine, StoredDocument
from sidecar.errors import EngineError, InvalidInput, SidecarError

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
        self.deleted: set[str] = set()
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

    async def whole(self, index: str, documents: Sequence[StoredDocument]) -> tuple[StoredDocument | None, ...]:
        self.reads.append(index)
        return tuple(self.held.get((index, one.id)) for one in documents)

    async def find(self, path: str, parameters: Mapping[str, str] | None = None) -> JsonObject | None:
        names, _, asked = path.strip("/").partition("/")
        if asked == "_mapping":
            return {name: {} for name in names.split(",") if name not in self.deleted}
        return self.behind


class ScriptedSidecar:
    """Encodes a text to a vector with one term, its length; refuses what a test says, naming the text's place."""

    def __init__(self, models: Sequence[ModelInfo] = (), refused: Mapping[str, SidecarError] = {}) -> None:
        self.served = tuple(models)
        self.refused = dict(refused)
        self.streamed: list[list[str]] = []
        self.called: list[list[str]] = []
        self.options: list[Mapping[str, object]] = []
        self.gone: SidecarError | None = None

    @property
    def client(self) -> AsyncSidecarClient:
        return cast("AsyncSidecarClient", self)

    async def models(self) -> tuple[ModelInfo, ...]:
        return self.served

    async def encode(self, texts: Sequence[str], **options: object) -> EncodeResult:
        self.called.append(list(texts))
        return self._result(texts)

    async def encode_stream(
        self, batches: AsyncIterator[Sequence[str]], **options: object
    ) -> AsyncGenerator[StreamOutcome, None]:
        self.options.append(options)
        outcomes: list[StreamOutcome] = []
        position = 0
        async for texts in batches:
            self.streamed.append(list(texts))
            try:
                outcomes.append(StreamOutcome(position, self._result(texts)))
            except SidecarError as error:
                outcomes.append(StreamOutcome(position, error=error))
            position += 1
        # Answers come in any order.
        for outcome in reversed(outcomes):
            if self.gone is not None:
                raise self.gone
            yield outcome

    def _result(self, texts: Sequence[str]) -> EncodeResult:
        for place, text in enumerate(texts):
            if text in self.refused:
                error = self.refused[text]
                if isinstance(error, InvalidInput):
                    error = type(error)(error.message, field=f"texts[{place}]")
                raise error
        encodings = (
            Encoding(SparseVector((1,), (float(len(text) or 1),), ("length",)), truncated=len(text) > 20)
            for text in texts
        )
        return EncodeResult(tuple(encodings), "model", "aa" * 32)
