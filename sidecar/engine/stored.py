"""A document as it lies in an index, with what a conditional write of it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.failures import Cause, from_cause
from sidecar.engine.transport import Transport
from sidecar.errors import EngineUnavailable

__all__ = ["StoredDocument", "multi_get", "read_hits", "source_of"]

LASTING = {"index_not_found_exception": 404, "index_closed_exception": 400, "routing_missing_exception": 400}
"""The status that other requests have for what a multi-get tells of a document; whatever else it tells may pass."""

PASSING = 503


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


async def multi_get(
    transport: Transport, places: Sequence[tuple[str, str, str | None]], shown: JsonValue
) -> tuple[StoredDocument | None, ...]:
    """Read documents by (index, id, routing), as they are now; in the order given, None for one that is not there.

    `shown` is the `_source` that is asked for. Raises EngineUnavailable where a shard, or an answer, is missing,
    IndexNotFound and EngineRejected as any other request of that index.
    """
    if not places:
        return ()
    wanted: list[JsonValue] = []
    for index, document_id, routing in places:
        entry: JsonObject = {"_index": index, "_id": document_id, "_source": shown}
        wanted.append(entry if routing is None else {**entry, "routing": routing})
    answer = await transport.read("POST", "/_mget", {"docs": wanted}, timeout=60.0)
    entries = answer.get("docs")
    if not isinstance(entries, list) or len(entries) != len(places):
        raise EngineUnavailable("The cluster answered another number of documents than it was asked for.")
    return tuple(_present(entry) for entry in entries)


def _present(entry: JsonObject) -> StoredDocument | None:
    error = entry.get("error")
    if error is not None:
        cause = Cause.parse(PASSING, error)
        raise from_cause(replace(cause, status=LASTING.get(cause.type, PASSING)))
    return StoredDocument.parse(entry)
