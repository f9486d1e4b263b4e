"""The encoder of a corpus: the sidecar's own core in a process that has no server. Nothing here knows Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from sidecar.bundle import Bundle
from sidecar.cluster.documents import text_hash
from sidecar.domain import WHOLE_TEXT, Document, Encoding, Lane, ModelKind, Pruning, Side, SparseVector, Windows
from sidecar.errors import InvalidInput, SidecarError, TextTooLarge, WrongModelKind, wire_error
from sidecar.inference.service import InferenceService
from sidecar.scale.reading import Row
from sidecar.settings import Settings

__all__ = ["CorpusEncoder", "EncodedRow"]


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A document with its vector; None for one without text, and for one that failed.

    `stage`, `reason` and `message` say where and why a row failed; they are empty otherwise.
    """

    id: str | None
    document: bytes | None
    line: int | None = None
    text_hash: str = ""
    vector: SparseVector | None = None
    truncated: bool = False
    stage: str = ""
    reason: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is nothing to write."""
        return bool(self.reason)


class CorpusEncoder:
    """Encodes documents with one bundle; for one thread.

    `pruning` None is the bundle's own rule for documents.
    """

    def __init__(
        self,
        bundle: Path,
        source_fields: tuple[str, ...],
        *,
        pruning: Pruning | None = None,
        windows: Windows = WHOLE_TEXT,
        threads: int = 1,
        max_text_bytes: int = 1_048_576,
    ) -> None:
        opened = Bundle.open(bundle)
        if opened.manifest.kind is not ModelKind.SPARSE_ENCODER:
            raise WrongModelKind(f"{opened.manifest.name} is no sparse encoder.", field="model")
        self.fingerprint = opened.fingerprint
        self._fields, self._pruning, self._windows = source_fields, pruning, windows
        self._limit = max_text_bytes
        settings = Settings(threads=threads, max_text_bytes=max_text_bytes)
        self._service = InferenceService.load([opened], settings)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Let go of the model."""
        self._service.close()
        self._runner.close()

    def encode(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """Encode documents, in their order; one that can't be encoded says so in its own row."""
        found: dict[int, EncodedRow] = {}
        texts: dict[int, str] = {}
        for position, row in enumerate(rows):
            if row.document is None:
                found[position] = EncodedRow(
                    row.id, None, row.line, stage="read", reason=row.reason, message=row.message
                )
                continue
            text = Document(row.id or "", orjson.loads(row.document)).text(self._fields)
            if not text:
                found[position] = EncodedRow(row.id, row.document, row.line, text_hash(""))
            elif len(text.encode("utf-8", "surrogatepass")) > self._limit:
                found[position] = _failed(row, TextTooLarge(f"The text has more than {self._limit} bytes."))
            else:
                texts[position] = text
        for position, answer in self._runner.run(self._encoded(texts)).items():
            row = rows[position]
            if isinstance(answer, SidecarError):
                found[position] = _failed(row, answer)
            else:
                found[position] = _row(row, texts[position], answer)
        return [found[position] for position in range(len(rows))]

    async def _encoded(self, texts: dict[int, str]) -> dict[int, Encoding | SidecarError]:
        """Encode all at once; where one is refused, each for itself."""
        if not texts:
            return {}
        try:
            encodings = await self._call(list(texts.values()))
        except InvalidInput:
            answers: dict[int, Encoding | SidecarError] = {}
            for position, text in texts.items():
                try:
                    answers[position] = (await self._call([text]))[0]
                except InvalidInput as error:
                    answers[position] = error
            return answers
        return dict(zip(texts, encodings, strict=True))

    async def _call(self, texts: Sequence[str]) -> tuple[Encoding, ...]:
        answer = await self._service.encode(
            texts,
            side=Side.DOCUMENT,
            pruning=self._pruning,
            windows=self._windows,
            lane=Lane.BULK,
            return_terms=True,
        )
        return answer.encodings


def _row(row: Row, text: str, encoding: Encoding) -> EncodedRow:
    return EncodedRow(row.id, row.document, row.line, text_hash(text), encoding.vector, encoding.truncated)


def _failed(row: Row, error: SidecarError) -> EncodedRow:
    reason = wire_error(error).reason
    return EncodedRow(row.id, row.document, row.line, stage="encode", reason=reason, message=error.message)
