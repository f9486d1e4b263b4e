"""In how many documents of an index each term occurs: kept in the mapping's `_meta`, beside the index's record."""

from __future__ import annotations

import base64
import binascii
import math
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated, Literal
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sidecar.domain import JsonObject
from sidecar.errors import IndexNotPrepared

__all__ = ["FREQUENCIES_KEY", "CollectionFrequencies", "inverse_document_frequency"]

FREQUENCIES_KEY = "splade_sidecar_frequencies"
"""Key of the table under a mapping's `_meta`. Apart from the index's record: refreshing it never touches that."""

RAREST = 2
"""Terms of fewer documents are not kept: they weigh as if no document had them, which is nearly the same."""

LARGEST_TABLE = 1 << 24
"""Bytes a table may unpack to."""


class CollectionFrequencies(BaseModel):
    """Document frequencies of terms, counted on `sampled` of the index's `documents`. Frozen; unknown keys are refused.

    `fingerprint` is that of the bundle whose terms were counted, `refreshed` the time of counting (ISO 8601, UTC).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    documents: int = Field(ge=0)
    sampled: int = Field(ge=1)
    refreshed: str
    table: str = Field(description="Ascending term ids as differences, then their frequencies: uint32, zlib, base64.")

    @classmethod
    def of(
        cls, counts: Mapping[int, int], *, fingerprint: str, documents: int, sampled: int, refreshed: str
    ) -> CollectionFrequencies:
        """Pack `counts` (term id -> documents that have it)."""
        kept = sorted((term_id, count) for term_id, count in counts.items() if count >= RAREST)
        ids = [term_id for term_id, _ in kept]
        steps = [term_id - before for before, term_id in pairwise([0, *ids])]
        numbers = array("I", [*steps, *(count for _, count in kept)])
        if sys.byteorder == "big":
            numbers.byteswap()
        table = base64.b64encode(zlib.compress(numbers.tobytes(), 9)).decode("ascii")
        return cls(fingerprint=fingerprint, documents=documents, sampled=sampled, refreshed=refreshed, table=table)

    @classmethod
    def parse(cls, index: str, record: object) -> CollectionFrequencies | None:
        """Read the table of `index`, None where it has none; raise IndexNotPrepared where it can't be read."""
        if record is None:
            return None
        try:
            found = cls.model_validate(record)
            found.unpack()
        except (ValidationError, ValueError, zlib.error, binascii.Error):
            raise IndexNotPrepared(
                f"Index {index}: its document frequencies can't be read: run `sidecar frequencies --index {index}`."
            ) from None
        return found

    def to_mapping(self) -> JsonObject:
        """Return what belongs into a mapping's `_meta`."""
        record: JsonObject = self.model_dump(mode="json")
        return {FREQUENCIES_KEY: record}

    def counts(self) -> Mapping[int, int]:
        """Return term id -> how many of the sampled documents have it."""
        return self._terms.by_id()

    def idf(self, term_id: int) -> float:
        """Return BM25's IDF of a term in this index; always > 0."""
        return inverse_document_frequency(self._terms.count(term_id), self.sampled)

    def unpack(self) -> None:
        """Unpack the table now, where the first query would; raise ValueError or zlib.error where it can't be."""
        _ = self._terms

    @cached_property
    def _terms(self) -> _Terms:
        return _terms(self.table)


def inverse_document_frequency(frequency: int, documents: int) -> float:
    """log(1 + (N - df + 0.5) / (df + 0.5)), as Lucene's BM25Similarity has it (Robertson & Zaragoza 2009)."""
    return math.log1p((documents - frequency + 0.5) / (frequency + 0.5))


class _Terms:
    """An unpacked table: ascending term ids, and their frequencies beside them; 12 bytes a term."""

    __slots__ = ("__weakref__", "_counts", "_ids")

    def __init__(self, ids: array[int], counts: array[int]) -> None:
        self._ids = ids
        self._counts = counts

    def count(self, term_id: int) -> int:
        place = bisect_left(self._ids, term_id)
        return self._counts[place] if place < len(self._ids) and self._ids[place] == term_id else 0

    def by_id(self) -> dict[int, int]:
        return dict(zip(self._ids, self._counts, strict=True))


_UNPACKED: WeakValueDictionary[str, _Terms] = WeakValueDictionary()
"""Tables that are unpacked, by what they are packed into: as many as somebody holds. A record that is read again, every
half a minute for each index that is searched, finds that of the one before."""


def _terms(table: str) -> _Terms:
    found = _UNPACKED.get(table)
    if found is None:
        found = _UNPACKED[table] = _unpacked(table)
    return found


def _unpacked(table: str) -> _Terms:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(table, validate=True), LARGEST_TABLE)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("The table is too large or cut off.")
    numbers = array("I", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    half, odd = divmod(len(numbers), 2)
    if odd:
        raise ValueError("The table has more terms than frequencies.")
    return _Terms(array("Q", accumulate(numbers[:half])), numbers[half:])
