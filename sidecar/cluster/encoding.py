"""Encoding a stream of documents through the sidecar, in which one unusable text costs only its own document."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Encoding, Lane, Pruning, Side, Windows
from sidecar.engine import IndexMeta
from sidecar.errors import FingerprintMismatch, InferenceFailed, InvalidInput, SidecarError

__all__ = ["Encoded", "Texts", "encode_documents"]

RecordT = TypeVar("RecordT")
"""Whatever stands for one document: a line of a file, a version in an index."""

_BLAMED = re.compile(r"^texts\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Texts(Generic[RecordT]):
    """Documents with the texts to encode, in the same order."""

    records: tuple[RecordT, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encoded(Generic[RecordT]):
    """One document with its encoding, or with the error that its text met."""

    record: RecordT
    text: str
    encoding: Encoding | None = None
    error: SidecarError | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    model: str | None
    pruning: Pruning
    windows: Windows
    fingerprint: str


async def encode_documents(
    sidecar: AsyncSidecarClient,
    batches: AsyncIterator[Texts[RecordT]],
    meta: IndexMeta,
    *,
    model: str | None,
    windows: Windows,
    in_flight: int,
) -> AsyncGenerator[list[Encoded[RecordT]], None]:
    """Encode batches, at most `in_flight` of them unanswered, and yield them as they come, in any order.

    Raises SidecarUnavailable where the sidecar is gone for good, and FingerprintMismatch where it serves another model.
    """
    call = _Call(model, meta.pruning, windows, meta.fingerprint)
    open_batches: dict[int, Texts[RecordT]] = {}

    async def texts() -> AsyncIterator[Sequence[str]]:
        position = 0
        async for batch in batches:
            open_batches[position] = batch
            position += 1
            yield batch.texts

    outcomes = sidecar.encode_stream(
        texts(),
        side=Side.DOCUMENT,
        model=call.model,
        pruning=call.pruning,
        windows=call.windows,
        lane=Lane.BULK,
        return_terms=True,
        expected_fingerprint=call.fingerprint,
        in_flight=in_flight,
    )
    async with aclosing(outcomes) as stream:
        async for outcome in stream:
            batch = open_batches.pop(outcome.position)
            if outcome.error is None:
                yield _paired(batch, outcome.unwrap().encodings)
            else:
                yield await _one_by_one(sidecar, batch, outcome.error, call)


async def _one_by_one(
    sidecar: AsyncSidecarClient, batch: Texts[RecordT], error: SidecarError, call: _Call
) -> list[Encoded[RecordT]]:
    """Take the blamed text out and encode the rest, until the rest goes through."""
    done: list[Encoded[RecordT]] = []
    left = list(zip(batch.records, batch.texts, strict=True))
    while True:
        place = _blamed(error, len(left))
        if place is None:
            if not isinstance(error, InvalidInput | InferenceFailed):
                raise error
            return done + [Encoded(record, text, error=error) for record, text in left]
        record, text = left.pop(place)
        done.append(Encoded(record, text, error=error))
        if not left:
            return done
        rest = Texts(tuple(record for record, _ in left), tuple(text for _, text in left))
        try:
            answer = await sidecar.encode(
                rest.texts,
                side=Side.DOCUMENT,
                model=call.model,
                pruning=call.pruning,
                windows=call.windows,
                lane=Lane.BULK,
                return_terms=True,
                expected_fingerprint=call.fingerprint,
                timeout=120.0,
            )
        except FingerprintMismatch:
            raise
        except SidecarError as next_error:
            error = next_error
            continue
        return done + _paired(rest, answer.encodings)


def _blamed(error: SidecarError, count: int) -> int | None:
    found = _BLAMED.match(error.field or "") if isinstance(error, InvalidInput) else None
    place = int(found[1]) if found else None
    if place is None and isinstance(error, InvalidInput) and count == 1:
        return 0
    return place if place is not None and place < count else None


def _paired(batch: Texts[RecordT], encodings: Sequence[Encoding]) -> list[Encoded[RecordT]]:
    return [
        Encoded(record, text, encoding)
        for record, text, encoding in zip(batch.records, batch.texts, encodings, strict=True)
    ]
