"""An index that exists, with judged queries of its owner's: looked at, and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.domain import Document, JsonObject
from sidecar.engine import CollectionFrequencies, Engine, Hit, IndexMeta, dialect_of
from sidecar.errors import EngineRejected, EvaluationError
from sidecar.evaluation.judged import JudgedQueries
from sidecar.evaluation.target import PATIENCE_SECONDS, Target

__all__ = ["LiveIndex", "look_at"]

ASKED_AT_ONCE = 100
"""Ids in one request."""

ANSWERED_AT_ONCE = 200
"""Behind an alias, several documents may have one id. No index has a window too narrow for a profile's candidates."""


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """What is known of it before it is searched.

    `missing` are the judged documents that it does not have, by id; `without_vector` counts the documents that no
    sparse retriever finds: without text, or not encoded yet. `size_bytes` is that of the primary shards on disk as they
    are, with what was deleted and not merged yet; None where this user may not see it. `frequencies` None: they were
    never counted, and `collection_idf` does nothing.
    """

    target: Target
    documents: int
    without_vector: int
    missing: frozenset[str]
    size_bytes: int | None
    frequencies: CollectionFrequencies | None

    @property
    def queries_missing_relevant(self) -> int:
        """How many queries have a relevant document that the index does not have."""
        return self.target.judged.queries_with_relevant(self.missing)


async def look_at(engine: Engine, index: str, judged: JudgedQueries) -> LiveIndex:
    """Look at an index or alias, by searches and counts alone.

    Raises IndexNotFound, IndexNotPrepared, FingerprintMismatch (an alias of two models), and EvaluationError where the
    index has none of the judged documents: the ids are others then.
    """
    meta, frequencies = await engine.index_record(index)
    present = {hit.id for hit in await _found(engine, index, judged.judged_documents, ())}
    if not present:
        raise EvaluationError(
            f"Index {index} has none of the {len(judged.judged_documents):,} judged documents: the ids of the"
            " judgements must be those of the index (`_id`)."
        )
    documents = await engine.count(index)
    encoded = await engine.count(index, dialect_of(meta).presence_filter(meta.vector_field, meta.fingerprint))
    return LiveIndex(
        target=Target(judged, index, meta, await _own_documents(engine, index, judged, meta)),
        documents=documents,
        without_vector=max(0, documents - encoded),
        missing=judged.judged_documents - present,
        size_bytes=await _size(engine, index),
        frequencies=frequencies,
    )


async def _own_documents(engine: Engine, index: str, judged: JudgedQueries, meta: IndexMeta) -> dict[str, str]:
    """By query id: the document of the same id that is the query, as `Collection.own_documents` has it."""
    queries = {query.id: query for query in judged.queries}
    return {
        hit.id: hit.id
        for hit in await _found(engine, index, queries, meta.source_fields)
        if judged.is_own(queries[hit.id], Document(hit.id, hit.source).text(meta.source_fields))
    }


async def _found(engine: Engine, index: str, names: Iterable[str], fields: tuple[str, ...]) -> list[Hit]:
    """Return the documents that have these ids, with `fields` of their source."""
    waiting = sorted(names)
    parts = [waiting[start : start + ASKED_AT_ONCE] for start in range(0, len(waiting), ASKED_AT_ONCE)]
    found: list[Hit] = []
    while parts:
        part = parts.pop()
        body: JsonObject = {
            "query": {"ids": {"values": part}},
            "size": ANSWERED_AT_ONCE,
            "_source": {"includes": list(fields)} if fields else False,
            "track_total_hits": False,
        }
        answer = await engine.search(index, body, timeout=PATIENCE_SECONDS)
        if answer.timed_out or answer.shards_unread:
            raise EvaluationError(f"The cluster answered for index {index} in part: shards are missing or late.")
        if len(answer.hits) == ANSWERED_AT_ONCE and len(part) > 1:
            # Hits may have been cut off.
            parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        else:
            found += answer.hits
    return found


async def _size(engine: Engine, index: str) -> int | None:
    try:
        return await engine.index_size(index)
    except EngineRejected:
        return None
