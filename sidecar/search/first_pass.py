"""The first pass of a query with feedback: its best documents, each with its vector and its text.

It is one request for as many hits as are fed back. Answers to users never carry a vector: `Engine.search` sees to that,
and this goes past it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain import Document, JsonObject, JsonValue, SparseVector, as_object
from sidecar.engine import Engine, IndexMeta, PassageField, SearchResponse, dialect_of
from sidecar.engine.features import sentinel
from sidecar.engine.passage_field import TEXT, VECTOR
from sidecar.engine.stored import read_hits
from sidecar.engine.transport import path_of
from sidecar.search.retrieval import FirstStage

__all__ = ["FirstPass", "FoundDocument", "FoundDocuments"]


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A hit, or its best passage where an index has passages: the score, the stored weights by feature, the text.

    `features` None: the index keeps no vector in `_source`.
    """

    index: str
    score: float
    features: Mapping[str, float] | None
    text: str


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """What the first pass found, best first. `partial`: shards were missing or late."""

    documents: tuple[FoundDocument, ...]
    partial: bool

    @property
    def indices(self) -> frozenset[str]:
        """The indices that the documents come from."""
        return frozenset(document.index for document in self.documents)


class FirstPass:
    """Asks one index for the best documents of sparse queries."""

    def __init__(self, engine: Engine, index: str, first: FirstStage) -> None:
        self._engine = engine
        self._index = index
        self._first = first

    async def find(
        self, vector: SparseVector, filters: Sequence[JsonObject], meta: IndexMeta, *, size: int, timeout: float
    ) -> FoundDocuments:
        """Return the best `size` documents within `filters`; raises what the cluster raises."""
        dialect, field = dialect_of(meta), meta.vector_field
        shown: JsonValue
        if isinstance(dialect, PassageField):
            best: JsonObject = {"size": 1, "_source": {"includes": [f"{field}.{VECTOR}", f"{field}.{TEXT}"]}}
            query, shown = dialect.scored_by(field, vector, meta.fingerprint, shown=best), False
        else:
            query, shown = self._first.sparse_clause(vector, meta), {"includes": [field, *meta.source_fields]}
        body: JsonObject = {
            "query": {"bool": {"must": [query], "filter": list(filters)}},
            "size": size,
            "_source": shown,
            "track_total_hits": False,
        }
        path, parameters = path_of(self._index, "_search"), self._engine.search_parameters
        answer = await self._engine.read("POST", path, parameters, body, timeout=timeout)
        read = SearchResponse.parse(answer)
        return FoundDocuments(
            documents=tuple(_document(hit, meta) for hit in read_hits(answer)),
            partial=read.timed_out or read.shards_unread > 0,
        )


def _document(hit: JsonObject, meta: IndexMeta) -> FoundDocument:
    score = hit.get("_score")
    if meta.passages is None:
        source = as_object(hit.get("_source"))
        stored, text = source.get(meta.vector_field), Document("", source).text(meta.source_fields)
    else:
        found = read_hits(as_object(as_object(hit.get("inner_hits")).get(meta.vector_field)))
        source = as_object(found[0].get("_source")) if found else {}
        stored, text = source.get(VECTOR), str(source.get(TEXT) or "")
    return FoundDocument(
        index=str(hit.get("_index", "")),
        score=float(score) if isinstance(score, int | float) else 0.0,
        features=_features(stored, meta),
        text=text,
    )


def _features(stored: JsonValue, meta: IndexMeta) -> dict[str, float] | None:
    if not isinstance(stored, Mapping):
        return None
    hidden = sentinel(meta.fingerprint)
    return {
        feature: float(weight)
        for feature, weight in stored.items()
        if feature != hidden and isinstance(weight, int | float) and weight > 0.0
    }
