"""The first stage: queries for the cluster, and what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.domain import Candidate, JsonObject, JsonValue, SparseVector
from sidecar.engine import Engine, Hit, IndexMeta, PassageField, SearchResponse, dialect_of
from sidecar.search.asking import asked
from sidecar.search.candidates import Retrieved, first_stage
from sidecar.search.identity import DocumentKey, key_of, only, parts_of
from sidecar.search.lexical import Lexical
from sidecar.search.profile import Profile
from sidecar.search.text import MAX_WORDS
from sidecar.search.tracing import traced_stage
from sidecar.search.two_phase import rescore_clause, split_terms

__all__ = ["FirstStage", "Found", "Lists", "Question"]

TWO_PHASE_DIALECTS = frozenset({"rank_features", "rank_features_saturation"})

MIN_CLAUSES = 16
"""Clauses that words have beside a vector that takes nearly all for itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for. `vector` None: only lexically, whatever the profile says."""

    text: str
    vector: SparseVector | None
    filters: tuple[JsonObject, ...]
    meta: IndexMeta


@dataclass(frozen=True, slots=True)
class Found:
    """A part of the first-stage ranking: `candidates` begin at rank `start` (from 0).

    `indices`: for each of the cluster's answers, those that its hits come from.
    """

    candidates: list[Candidate]
    start: int
    total: int | None
    partial: bool
    has_sources: bool
    indices: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lists:
    """What the retrievers found, each its own, before it is fused; the other fields as `Found` has them."""

    retrieved: tuple[Retrieved, ...]
    total: int | None
    partial: bool
    indices: tuple[frozenset[str], ...]


class FirstStage:
    """Runs a profile's retrievers on one index."""

    def __init__(self, engine: Engine, index: str, profile: Profile) -> None:
        self._engine = engine
        self._index = index
        self._profile = profile
        self._lexical = profile.lexical or Lexical()

    def queries(self, question: Question) -> dict[str, JsonObject]:
        """Return the query of each retriever (`lexical`, `sparse`, or both in one: `summed`), filters included."""
        lexical, sparse = self._profile.lexical, self._profile.sparse
        if question.vector is None:
            return {"lexical": _filtered(self._match(question), question.filters)}
        if lexical is not None and sparse is not None and self._profile.summed_in_cluster:
            return {"summed": self._either(question, question.vector, lexical.weight, sparse.weight)}
        queries: dict[str, JsonObject] = {}
        if lexical is not None:
            queries["lexical"] = _filtered(self._match(question), question.filters)
        if sparse is not None:
            clause = self.sparse_clause(question.vector, question.meta)
            queries["sparse"] = _filtered(clause, question.filters)
        return queries

    def sparse_clause(self, vector: SparseVector, meta: IndexMeta, boost: float = 1.0) -> JsonObject:
        """Return the inner product, for documents that the same model encoded and for no others.

        Where an index has passages, it is the best passage's. Where not, it stands in `should`: a two-phase processor
        of the cluster's looks nowhere else for it.
        """
        dialect = dialect_of(meta)
        if isinstance(dialect, PassageField):
            return dialect.scored_by(meta.vector_field, vector, meta.fingerprint, boost, self._profile.candidates)
        return {
            "bool": {
                "should": [dialect.sparse_query(meta.vector_field, vector, boost, self._profile.candidates)],
                "minimum_should_match": 1,
                "filter": [dialect.presence_filter(meta.vector_field, meta.fingerprint)],
            }
        }

    def clauses(self, question: Question) -> int:
        """Return how many clauses each of a question's queries has at most, filters left out."""
        return self._lexical.clauses(question.text) + (0 if question.vector is None else len(question.vector))

    @traced_stage("retrieve")
    async def find(self, question: Question, *, size: int, from_: int, head: int, timeout: float) -> Found:
        """Return the ranking, at least as deep as `from_ + size` and as `head`, or just the page where that suffices.

        `head`: how many documents from the top are wanted besides the page (for reranking); 0: none.
        """
        first, light = self._phases(question)
        queries = self.queries(first)
        if len(queries) > 1:
            lists = await self._several(first, queries, light, max(self._profile.candidates, from_ + size), timeout)
            start = 0
        else:
            ((name, query),) = queries.items()
            start = from_ if head == 0 else 0
            wanted = size if head == 0 else max(head, from_ + size)
            body: JsonObject = {
                "track_total_hits": self._profile.count_hits,
                **self._rescored(name, light),
                "query": query,
                "from": start,
                "size": wanted,
                "_source": {"excludes": [question.meta.vector_field, question.meta.hash_field]},
            }
            answer = await self._engine.search(self._index, body, timeout=timeout)
            lists = self._lists(queries, [answer], answer.total)
        return Found(
            candidates=first_stage(lists.retrieved, self._profile.fusion, self._profile.candidates),
            start=start,
            total=lists.total,
            partial=lists.partial,
            has_sources=len(queries) == 1,
            indices=lists.indices,
        )

    async def lists(self, question: Question, *, depth: int, timeout: float) -> Lists:
        """Return the first `depth` hits of each retriever, without their fields: what `find` makes one ranking of."""
        first, light = self._phases(question)
        return await self._several(first, self.queries(first), light, depth, timeout)

    async def _several(
        self,
        first: Question,
        queries: Mapping[str, JsonObject],
        light: JsonObject | None,
        depth: int,
        timeout: float,
    ) -> Lists:
        bodies: list[JsonObject] = [
            {
                "track_total_hits": False,
                **self._rescored(name, light),
                "query": query,
                "size": depth,
                "_source": False,
            }
            for name, query in queries.items()
        ]
        answers = await asked(self._engine, self._index, [*bodies, *self._counts(first)], timeout=timeout)
        return self._lists(queries, answers, answers[-1].total)

    def _lists(self, queries: Mapping[str, JsonObject], answers: Sequence[SearchResponse], total: int | None) -> Lists:
        """Read one answer for each query; a further one has only counted."""
        return Lists(
            retrieved=tuple(
                Retrieved(name, self._weight(name), tuple(map(_candidate, answer.hits)))
                for name, answer in zip(queries, answers, strict=False)
            ),
            total=total,
            partial=any(answer.timed_out or answer.shards_unread > 0 for answer in answers),
            indices=tuple(frozenset(hit.index for hit in answer.hits) for answer in answers[: len(queries)]),
        )

    def _either(
        self, question: Question, vector: SparseVector, lexical_weight: float = 1.0, sparse_weight: float = 1.0
    ) -> JsonObject:
        """Return what finds all that either retriever does; the scores add up.

        A query of more words and terms than the cluster has clauses for goes without its last words.
        """
        clauses: list[JsonValue] = [
            self._match(question, boost=lexical_weight, clauses=max(MIN_CLAUSES, MAX_WORDS - len(vector))),
            self.sparse_clause(vector, question.meta, boost=sparse_weight),
        ]
        both: dict[str, JsonValue] = {"should": clauses, "minimum_should_match": 1}
        return {"bool": {**both, "filter": list(question.filters)}}

    def _counts(self, question: Question) -> list[JsonObject]:
        """Return the body that counts what two retrievers find together, if the profile wants to know."""
        if not self._profile.count_hits or question.vector is None:
            return []
        query = self._either(question, question.vector)
        return [{"track_total_hits": True, "query": query, "size": 0, "_source": False}]

    def _phases(self, question: Question) -> tuple[Question, JsonObject | None]:
        """Return the question of the first phase, and the sparse query of the second, if the profile wants two.

        Without light terms, without a vector, and in a dialect that has no plain `rank_feature` clauses there is one;
        and over passages: the light terms' best passage need not be the heavy terms', and their sum nobody's score.
        """
        sparse, meta = self._profile.sparse, question.meta
        rule = None if sparse is None else sparse.two_phase
        possible = meta.dialect in TWO_PHASE_DIALECTS and meta.passages is None
        if sparse is None or rule is None or question.vector is None or not possible:
            return question, None
        heavy, light = split_terms(question.vector, rule.ratio)
        if not len(light):
            return question, None
        boost = sparse.weight if self._profile.summed_in_cluster else 1.0
        second = dialect_of(meta).sparse_query(meta.vector_field, light, boost)
        return replace(question, vector=heavy), second

    def _rescored(self, name: str, light: JsonObject | None) -> JsonObject:
        """Return the `rescore` of a retriever's body; empty for one phase.

        Its window is the same for every page, so that what is above it on one is not below it on another.
        """
        sparse = self._profile.sparse
        if light is None or sparse is None or sparse.two_phase is None or name == "lexical":
            return {}
        return {"rescore": rescore_clause(light, max(sparse.two_phase.window, self._profile.candidates))}

    @traced_stage("fetch")
    async def sources(
        self, documents: Iterable[DocumentKey], shown: JsonValue, *, timeout: float
    ) -> dict[DocumentKey, Mapping[str, object]]:
        """Return the documents' fields, as far as `shown` (a `_source` clause) goes; without those that are gone."""
        bodies: list[JsonObject] = [
            {"query": only(keys), "size": len(keys), "_source": shown} for keys in parts_of(documents)
        ]
        answers = await asked(self._engine, self._index, bodies, timeout=timeout)
        return {key_of(hit): hit.source for answer in answers for hit in answer.hits}

    def _match(self, question: Question, boost: float = 1.0, clauses: int = MAX_WORDS) -> JsonObject:
        return self._lexical.query(question.text, question.meta.lexical_field, boost=boost, clauses=clauses)

    def _weight(self, name: str) -> float:
        retriever = {"lexical": self._profile.lexical, "sparse": self._profile.sparse}.get(name)
        return 1.0 if retriever is None else retriever.weight


def _candidate(hit: Hit) -> Candidate:
    return Candidate(hit.id, hit.source, hit.score, index=hit.index, routing=hit.routing)


def _filtered(query: JsonObject, filters: Sequence[JsonObject]) -> JsonObject:
    return {"bool": {"must": [query], "filter": list(filters)}} if filters else query
