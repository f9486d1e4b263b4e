"""Asking the cluster why it found what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import Engine, dialect_of
from sidecar.search.explain import contributions
from sidecar.search.identity import DocumentKey, key_of, only, parts_of, raw_key_of
from sidecar.search.result import Contribution, SearchHit, raw_hits
from sidecar.search.retrieval import FirstStage, Question
from sidecar.search.tracing import traced_stage

__all__ = ["EXPLAINED_ROUTINGS", "Explainer"]

EXPLAINED_ROUTINGS = 16
"""In one request: a cluster explains each of their clauses for every hit, too."""


class Explainer:
    """Fills in each hit's `why`, for one index and the queries of one profile."""

    def __init__(self, engine: Engine, index: str, first: FirstStage) -> None:
        self._engine = engine
        self._index = index
        self._first = first

    @traced_stage("explain")
    async def explained(self, page: Sequence[SearchHit], question: Question, *, timeout: float) -> list[SearchHit]:
        """Return the hits with the share of each term and retriever; `timeout` in seconds. Raises EngineErrors."""
        if not page:
            return []
        dialect, vector = dialect_of(question.meta), question.vector or SparseVector()
        bodies: list[JsonObject] = [
            {
                "query": {"bool": {"must": [query], "filter": [only(keys)]}},
                "size": len(keys),
                "explain": True,
                "_source": False,
            }
            for query in self._first.queries(question).values()
            for keys in parts_of(map(key_of, page), clauses=self._first.clauses(question), routings=EXPLAINED_ROUTINGS)
        ]
        why: dict[DocumentKey, tuple[Contribution, ...]] = {}
        for answer in await self._engine.multi_search(self._index, bodies, timeout=timeout):
            for raw in raw_hits(answer.raw):
                shares = contributions(
                    raw.get("_explanation"),
                    question.meta.fingerprint,
                    lambda feature: dialect.term_of(feature, vector),
                )
                key = raw_key_of(raw)
                why[key] = why.get(key, ()) + shares
        return [replace(hit, why=why.get(key_of(hit), ())) for hit in page]
