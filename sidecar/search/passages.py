"""The best passage of a document: the one whose inner product with the query is the document's sparse score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain import JsonObject, JsonValue, SparseVector
from sidecar.engine import Engine, IndexMeta, PassageField, dialect_of
from sidecar.engine.passage_field import START, TEXT
from sidecar.engine.stored import read_hits
from sidecar.search.asking import asked
from sidecar.search.identity import DocumentKey, only, parts_of, raw_key_of
from sidecar.search.tracing import traced_stage

__all__ = ["BestPassage", "Passages"]


@dataclass(frozen=True, slots=True)
class BestPassage:
    """A passage as it was encoded. `start` counts characters (code points) in the source fields joined by a space.

    `score` is its inner product with the query.
    """

    text: str
    start: int
    score: float


class Passages:
    """Asks one index for the best passages of documents."""

    def __init__(self, engine: Engine, index: str) -> None:
        self._engine = engine
        self._index = index

    async def best(
        self, documents: Sequence[DocumentKey], vector: SparseVector | None, meta: IndexMeta, *, timeout: float
    ) -> dict[DocumentKey, BestPassage]:
        """Return the best passage by document; nothing for documents of which no passage holds a term of the query.

        Asked apart from the search itself, for just the documents that are shown or reranked: a cluster looks for
        passages in every hit that it fetches, and a search fetches many more.
        """
        dialect = dialect_of(meta)
        if not documents or vector is None or not isinstance(dialect, PassageField):
            return {}
        return await self._asked(dialect, documents, vector, meta, timeout)

    @traced_stage("passages")
    async def _asked(
        self,
        dialect: PassageField,
        documents: Sequence[DocumentKey],
        vector: SparseVector,
        meta: IndexMeta,
        timeout: float,
    ) -> dict[DocumentKey, BestPassage]:
        path = meta.vector_field
        shown: JsonObject = {"size": 1, "_source": {"includes": [f"{path}.{TEXT}", f"{path}.{START}"]}}
        clause = dialect.scored_by(path, vector, meta.fingerprint, shown=shown)
        bodies: list[JsonObject] = [
            {"query": {"bool": {"filter": [only(keys)], "must": [clause]}}, "size": len(keys), "_source": False}
            for keys in parts_of(documents, clauses=len(vector))
        ]
        found: dict[DocumentKey, BestPassage] = {}
        answers = await asked(self._engine, self._index, bodies, timeout=timeout)
        for hit in (one for answer in answers for one in read_hits(answer.raw)):
            inner = hit.get("inner_hits")
            best = _first(inner.get(path)) if isinstance(inner, Mapping) else None
            if best is not None:
                found[raw_key_of(hit)] = best
        return found


def _first(answer: JsonValue) -> BestPassage | None:
    hits = read_hits(answer) if isinstance(answer, Mapping) else []
    if not hits:
        return None
    source, score = hits[0].get("_source"), hits[0].get("_score")
    text = source.get(TEXT) if isinstance(source, Mapping) else None
    start = source.get(START) if isinstance(source, Mapping) else None
    if not isinstance(text, str) or not isinstance(start, int):
        return None
    return BestPassage(text, start, float(score) if isinstance(score, int | float) else 0.0)
