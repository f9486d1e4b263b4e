"""A document as it lies in an index, with what a conditional write of it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.domain import JsonObject, JsonValue

__all__ = ["StoredDocument", "read_hits", "source_of"]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One version of a document: `index` is the concrete one, `seq_no` and `primary_term` name the version.

    `source` holds the fields that were asked for.
    """

    index: str
    id: str
    seq_no: int
    primary_term: int
    source: JsonObject = field(default_factory=dict)
    routing: str | None = None

    @classmethod
    def parse(cls, entry: JsonObject) -> StoredDocument | None:
        """Read a hit of a search, or an entry of a multi-get; None for a document that is not there."""
        seq_no, term = entry.get("_seq_no"), entry.get("_primary_term")
        if not isinstance(seq_no, int) or not isinstance(term, int):
            return None
        source, routing = entry.get("_source"), entry.get("_routing")
        return cls(
            index=str(entry.get("_index", "")),
            id=str(entry.get("_id", "")),
            seq_no=seq_no,
            primary_term=term,
            source=source if isinstance(source, Mapping) else {},
            routing=routing if isinstance(routing, str) else None,
        )


def read_hits(answer: JsonObject) -> list[JsonObject]:
    """Return the hits of a search's answer as they came."""
    outer = answer.get("hits")
    listed: JsonValue = outer.get("hits") if isinstance(outer, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return []
    return [hit for hit in listed if isinstance(hit, Mapping)]


def source_of(fields: Sequence[str]) -> JsonValue:
    """Return the `_source` of a request that asks for these fields; clusters warn of an empty list of them."""
    return {"includes": list(fields)} if fields else False
