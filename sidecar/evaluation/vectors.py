"""Figures of the vectors that an index holds, and of those that its queries get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from sidecar.client import AsyncSidecarClient
from sidecar.domain import JsonObject, Query, Side, as_object
from sidecar.engine import Engine, IndexMeta, dialect_of
from sidecar.engine.features import sentinel
from sidecar.engine.passage_field import VECTOR
from sidecar.engine.stored import read_hits
from sidecar.engine.transport import path_of
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.report import VectorReport
from sidecar.evaluation.statistics import VectorCounts, flops
from sidecar.evaluation.target import PATIENCE_SECONDS, Target

__all__ = ["DRAWN_DOCUMENTS", "drawn_documents", "every_nth_document", "vector_report"]

ENCODED_AT_ONCE = 256
READ_AT_ONCE = 16

DRAWN_DOCUMENTS = 500
"""Of an index that exists, all in one answer."""

SEED = 0
"""Of the draw: as long as an index is not written to, the same documents are drawn again."""


async def vector_report(sidecar: AsyncSidecarClient, target: Target, documents: VectorCounts) -> VectorReport:
    """Return the figures of `documents` and of the target's queries, which are encoded for it."""
    queries = await _query_vectors(sidecar, target.judged.queries, target.meta)
    known = documents.texts > 0
    return VectorReport(
        documents_sampled=documents.texts,
        mean_document_vectors=documents.mean_vectors if known else None,
        mean_document_terms=documents.mean_terms if known else None,
        mean_query_terms=queries.mean_terms,
        flops=flops(queries, documents) if known else None,
    )


async def every_nth_document(
    engine: Engine, target: Target, collection: Collection, sampled: int, say: Callable[[str, int, int], None]
) -> VectorCounts:
    """Count the terms of the vectors as they are stored, of every n-th document that has text.

    Raises EvaluationError where one of them has no vector.
    """
    stride = max(1, -(-len(collection.documents) // sampled))
    names = [document.id for document in collection.documents[::stride] if collection.text_of(document)]
    counts = VectorCounts()
    for start in range(0, len(names), READ_AT_ONCE):
        say(f"{collection.name}: reading vectors", start, len(names))
        part = names[start : start + READ_AT_ONCE]
        for source in await asyncio.gather(*(engine.get(target.index, name) for name in part)):
            vectors = [] if source is None else _stored_vectors(source, target.meta)
            if not vectors:
                raise EvaluationError(f"A document of {collection.name} has text and no vector.")
            counts.add(*_terms(vectors, target.meta))
    return counts


async def drawn_documents(engine: Engine, target: Target) -> VectorCounts:
    """Count the terms of the vectors of DRAWN_DOCUMENTS that have one, drawn at random.

    None are counted where the index keeps no vectors in `_source`.
    """
    meta = target.meta
    present = dialect_of(meta).presence_filter(meta.vector_field, meta.fingerprint)
    drawn: JsonObject = {"seed": SEED, "field": "_seq_no"}
    body: JsonObject = {
        "query": {"function_score": {"query": present, "random_score": drawn, "boost_mode": "replace"}},
        "size": DRAWN_DOCUMENTS,
        "_source": {"includes": [meta.vector_field]},
        "track_total_hits": False,
    }
    # Not `Engine.search`, whose answers carry no vector.
    answer = await engine.read("POST", path_of(target.index, "_search"), body=body, timeout=PATIENCE_SECONDS)
    counts = VectorCounts()
    for hit in read_hits(answer):
        vectors = _stored_vectors(as_object(hit.get("_source")), meta)
        if vectors:
            counts.add(*_terms(vectors, meta))
    return counts


async def _query_vectors(sidecar: AsyncSidecarClient, queries: Sequence[Query], meta: IndexMeta) -> VectorCounts:
    """Count a query's terms by the names that documents have for them: dialects escape terms, or keep their ids."""
    counts, dialect = VectorCounts(), dialect_of(meta)
    for start in range(0, len(queries), ENCODED_AT_ONCE):
        answer = await sidecar.encode(
            [query.text for query in queries[start : start + ENCODED_AT_ONCE]],
            side=Side.QUERY,
            model=meta.bundle,
            return_terms=True,
            expected_fingerprint=meta.fingerprint,
            timeout=PATIENCE_SECONDS,
        )
        for encoding in answer.encodings:
            counts.add(*_terms([dialect.document_features(encoding.vector, meta.fingerprint)], meta))
    return counts


def _stored_vectors(source: JsonObject, meta: IndexMeta) -> list[JsonObject]:
    """Return a document's vector, or those of its passages; an empty list where there is none, or not of each."""
    stored = source.get(meta.vector_field)
    if meta.passages is None:
        return [stored] if isinstance(stored, Mapping) else []
    objects = stored if isinstance(stored, list) else []
    vectors = [one.get(VECTOR) if isinstance(one, Mapping) else None for one in objects]
    found = [one for one in vectors if isinstance(one, Mapping)]
    return found if len(found) == len(objects) else []


def _terms(vectors: Sequence[JsonObject], meta: IndexMeta) -> Iterator[list[str]]:
    """Feature names are as good as terms for counting: they are mapped one to one."""
    hidden = sentinel(meta.fingerprint)
    for vector in vectors:
        yield [feature for feature in vector if feature != hidden]
