"""Encoding a stream of documents through the sidecar, in which one unusable text costs only its own document."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.client import AsyncSidecarClient
from sidecar.cluster.passages import Split, split
from sidecar.domain import Encoding, Lane, Pruning, Side, SparseVector, WindowPolicy, Windows
from sidecar.engine import EncodedPassage, IndexMeta, Passage, PassageRule
from sidecar.errors import (
    InferenceFailed,
    InvalidInput,
    SidecarError,
    TextTooLarge,
    TextTooLong,
)

__all__ = ["Encoded", "Texts", "encode_documents", "refusal"]

RecordT = TypeVar("RecordT")
"""Whatever stands for one document: a line of a file, a version in an index."""

PASSAGES_AT_ONCE = 64
"""Passages in one message to the sidecar, about; those of one document stay together."""

STALL_SECONDS = 600.0
"""How long a sidecar may answer none of the batches it has. They share it, so that the first answer may come with the
last: eight of 32 long documents are a minute's work of a large model on a busy machine."""

_BLAMED = re.compile(r"^texts\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Texts(Generic[RecordT]):
    """Documents with the texts to encode, in the same order."""

    records: tuple[RecordT, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encoded(Generic[RecordT]):
    """One document with its vector, or its passages with theirs, or with the error that its text met.

    `truncated`: not all of its text was read. Without vector and error it is a document without text.
    """

    record: RecordT
    text: str
    vector: SparseVector | tuple[EncodedPassage, ...] | None = None
    truncated: bool = False
    error: SidecarError | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    model: str | None
    pruning: Pruning
    windows: Windows
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Sent(Generic[RecordT]):
    """One document on its way, with what is sent of it; `cut` into passages, or its text as a whole."""

    record: RecordT
    text: str
    split: Split
    cut: bool

    def answered(self, encodings: Sequence[Encoding]) -> Encoded[RecordT]:
        if not self.cut:
            return Encoded(self.record, self.text, encodings[0].vector, encodings[0].truncated)
        passages = tuple(
            EncodedPassage(passage, encoding.vector)
            for passage, encoding in zip(self.split.passages, encodings, strict=True)
        )
        truncated = self.split.truncated or any(encoding.truncated for encoding in encodings)
        return Encoded(self.record, self.text, passages, truncated)


def refusal(text: str, rule: PassageRule | None, windows: Windows, max_text_bytes: int) -> SidecarError | None:
    """Return why a text is not sent at all; None: it is.

    Where the policy is to refuse what is too long for the model, a text of too many passages is refused as well.
    """
    if len(text.encode("utf-8", "surrogatepass")) > max_text_bytes:
        return TextTooLarge(f"The text has more than {max_text_bytes} bytes.")
    if rule is not None and windows.policy is WindowPolicy.REFUSE and split(text, rule).truncated:
        return TextTooLong(
            f"The text has more than {rule.limit} passages of {rule.words} words: ask for truncation, or set a new"
            " index up with a larger --passage-limit."
        )
    return None


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

    Raises SidecarUnavailable where the sidecar is gone for good, DeadlineExceeded where it is there and answers nothing
    for `STALL_SECONDS`, and FingerprintMismatch where it serves another model.
    """
    call = _Call(model, meta.pruning, windows, meta.fingerprint)
    open_parts: dict[int, list[_Sent[RecordT]]] = {}

    async def texts() -> AsyncIterator[Sequence[str]]:
        position = 0
        async for batch in batches:
            for part in _parts(batch, meta.passages):
                open_parts[position] = part
                position += 1
                yield _texts(part)

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
        stall_timeout=STALL_SECONDS,
    )
    async with aclosing(outcomes) as stream:
        async for outcome in stream:
            part = open_parts.pop(outcome.position)
            if outcome.error is None:
                yield _paired(part, outcome.unwrap().encodings)
            else:
                yield await _one_by_one(sidecar, part, outcome.error, call)


async def _one_by_one(
    sidecar: AsyncSidecarClient, part: Sequence[_Sent[RecordT]], error: SidecarError, call: _Call
) -> list[Encoded[RecordT]]:
    """Take the document of the blamed text out and encode the rest, until the rest goes through.

    Where no text is blamed (the model fails on a call as a whole), halves are encoded, until the document is alone.
    """
    done: list[Encoded[RecordT]] = []
    refused: list[tuple[list[_Sent[RecordT]], SidecarError]] = [(list(part), error)]
    while refused:
        left, error = refused.pop()
        place = _blamed(error, left)
        if place is None and not isinstance(error, InvalidInput | InferenceFailed):
            raise error
        if place is None and len(left) > 1:
            middle = len(left) // 2
            rest = [left[:middle], left[middle:]]
        else:
            blamed = left.pop(place or 0)
            done.append(Encoded(blamed.record, blamed.text, error=error))
            rest = [left] if left else []
        for some in rest:
            try:
                answer = await sidecar.encode(
                    _texts(some),
                    side=Side.DOCUMENT,
                    model=call.model,
                    pruning=call.pruning,
                    windows=call.windows,
                    lane=Lane.BULK,
                    return_terms=True,
                    expected_fingerprint=call.fingerprint,
                    timeout=120.0,
                )
            except SidecarError as next_error:
                refused.append((some, next_error))
            else:
                done += _paired(some, answer.encodings)
    return done


def _blamed(error: SidecarError, sent: Sequence[_Sent[RecordT]]) -> int | None:
    """Return the position of the document that an error is about; None where it is about none, or does not say."""
    if not isinstance(error, InvalidInput):
        return None
    found = _BLAMED.match(error.field or "")
    if found is None:
        return 0 if len(sent) == 1 else None
    text = int(found[1])
    for place, one in enumerate(sent):
        text -= len(one.split.passages)
        if text < 0:
            return place
    return None


def _parts(batch: Texts[RecordT], rule: PassageRule | None) -> Iterator[list[_Sent[RecordT]]]:
    """Yield the batch in parts of as many texts as go into one message; a text that is not cut is one passage."""
    part: list[_Sent[RecordT]] = []
    size = 0
    for record, text in zip(batch.records, batch.texts, strict=True):
        found = Split((Passage(0, text),)) if rule is None else split(text, rule)
        if part and rule is not None and size + len(found.passages) > PASSAGES_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(_Sent(record, text, found, rule is not None))
        size += len(found.passages)
    if part:
        yield part


def _texts(sent: Sequence[_Sent[RecordT]]) -> list[str]:
    return [passage.text for one in sent for passage in one.split.passages]


def _paired(sent: Sequence[_Sent[RecordT]], encodings: Sequence[Encoding]) -> list[Encoded[RecordT]]:
    if len(encodings) != sum(len(one.split.passages) for one in sent):
        raise InferenceFailed("The sidecar answered another number of encodings than it was sent texts.")
    found: list[Encoded[RecordT]] = []
    start = 0
    for one in sent:
        end = start + len(one.split.passages)
        found.append(one.answered(encodings[start:end]))
        start = end
    return found
