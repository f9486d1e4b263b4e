"""Executing an application's own `_search` body, augmented and reranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.domain import JsonObject, JsonValue, SparseVector
from sidecar.engine import Engine, IndexMeta
from sidecar.search.augment import Augmented, Matching, augmented_body
from sidecar.search.bodies import Anatomy, Unchanged, anatomy
from sidecar.search.degradation import NO_QUERY_TERMS, Deadline, Degraded
from sidecar.search.encoding import IndexRecord, PinnedRecord, QueryEncoder
from sidecar.search.expansion import QueryExpander
from sidecar.search.moved import ATTEMPTS, has_moved
from sidecar.search.profile import Profile
from sidecar.search.reranking import Head, Reranker
from sidecar.search.result import BodyResult, StageTimings, raw_hits
from sidecar.search.retrieval import FirstStage
from sidecar.search.stopwatch import Stopwatch
from sidecar.search.text import check_query

__all__ = ["OwnBody"]

MAX_TERMS = 512
DEFAULT_SIZE = 10
"""`size` of a body that names none."""


class OwnBody:
    """What `AsyncSearcher.augment` and `.search_body` do."""

    def __init__(
        self,
        engine: Engine,
        index: str,
        profile: Profile,
        record: IndexRecord,
        first: FirstStage,
        encoder: QueryEncoder | None,
        expander: QueryExpander | None,
        reranker: Reranker | None,
    ) -> None:
        self._engine = engine
        self._index = index
        self._profile = profile
        self._record = record
        self._first = first
        self._encoder = encoder
        self._expander = expander
        self._reranker = reranker

    async def augment(self, body: JsonObject, text: str | None, matching: Matching, deadline: Deadline) -> Augmented:
        """Return the augmented body, or the body itself and why."""
        return (await self._prepared(body, text, matching, deadline, self._record.pinned(), Stopwatch()))[0]

    async def search(self, body: JsonObject, text: str | None, matching: Matching, deadline: Deadline) -> BodyResult:
        """Augment, execute, rerank; again where the name was pointed at another model's index meanwhile."""
        watch = Stopwatch()
        record = self._record.pinned()
        for _ in range(ATTEMPTS):
            augmented, timings = await self._prepared(body, text, matching, deadline, record, watch)
            result = await self._executed(body, text, augmented, timings, watch, deadline)
            if augmented.unchanged is not None or not await self._moved(record, result):
                break
        return result

    async def _prepared(
        self,
        body: JsonObject,
        text: str | None,
        matching: Matching,
        deadline: Deadline,
        record: PinnedRecord,
        watch: Stopwatch,
    ) -> tuple[Augmented, StageTimings]:
        """Return the augmented body, and what its encoding and its feedback took."""
        parts = anatomy(body, text)
        if parts.unchanged is not None or parts.text is None:
            return Augmented(body, parts.unchanged), StageTimings(watch.lap())
        check_query(parts.text)
        if self._encoder is None or self._profile.sparse is None:
            return Augmented(body, Unchanged.LEXICAL_PROFILE), StageTimings(watch.lap())
        encoded = await self._encoder.encode(parts.text, record, deadline.left(self._profile.encode_timeout))
        timings = StageTimings(watch.lap())
        if isinstance(encoded, Degraded):
            return Augmented(body, Unchanged.DEGRADED, encoded.reason, encoded.stage), timings
        vector = _heaviest(encoded)
        failed: Degraded | None = None
        if self._expander is not None:
            filters = _restrictions(body, parts, matching)
            expansion = await self._expander.expand(vector, filters, record, deadline, MAX_TERMS)
            vector, failed = expansion.vector or vector, expansion.degraded
            timings = replace(timings, feedback_ms=watch.lap())
        augmented = self._augmented(body, parts, vector, await record.get(), matching)
        if failed is None:
            return Augmented(augmented), timings
        return Augmented(augmented, None, failed.reason, failed.stage), timings

    async def _moved(self, record: PinnedRecord, result: BodyResult) -> bool:
        hits = [str(hit.get("_index")) for hit in raw_hits(result.response)]
        return await has_moved(self._engine, self._index, record, await record.get(), [hits])

    async def _executed(
        self,
        body: JsonObject,
        text: str | None,
        augmented: Augmented,
        timings: StageTimings,
        watch: Stopwatch,
        deadline: Deadline,
    ) -> BodyResult:
        wanted = anatomy(body, text).text
        policy = self._profile.rerank
        lost = augmented.degraded_stage == "encode" and augmented.degraded != NO_QUERY_TERMS
        start, size = _number(body.get("from"), 0), _number(body.get("size"), DEFAULT_SIZE)
        if self._reranker is None or policy is None or wanted is None or lost or "search_after" in body:
            answer = await self._engine.search(self._index, augmented.body, timeout=deadline.left())
            return BodyResult(
                answer.raw,
                augmented.unchanged,
                augmented.degraded,
                augmented.degraded_stage,
                replace(timings, retrieve_ms=watch.lap(), total_ms=watch.total()),
            )
        window = max(policy.depth, start + size)
        answer = await self._engine.search(
            self._index, {**augmented.body, "from": 0, "size": window}, timeout=deadline.left()
        )
        meta = await self._record.get()
        hits = raw_hits(answer.raw)
        texts = await self._first.sources(
            [str(hit.get("_id")) for hit in hits[: policy.depth]], list(meta.source_fields), timeout=deadline.left()
        )
        retrieve_ms = watch.lap()
        head = [
            Head(position, texts.get(str(hit.get("_id")), {}), _score(hit))
            for position, hit in enumerate(hits[: policy.depth])
        ]
        reranked = await self._reranker.rerank(
            wanted, head, len(hits), meta.source_fields, deadline.left(policy.timeout), page=start + size
        )
        if isinstance(reranked, Degraded):
            ordered, failed = list(hits), reranked
        else:
            failed = None
            ordered = [
                {**hits[position], "_rerank_score": reranked.scores[position]}
                if position in reranked.scores
                else hits[position]
                for position in reranked.order
            ]
        degraded, stage = augmented.degraded, augmented.degraded_stage
        if failed is not None and stage != "encode":
            degraded, stage = failed.reason, failed.stage
        return BodyResult(
            _with_hits(answer.raw, ordered[start : start + size]),
            augmented.unchanged,
            degraded,
            stage,
            replace(timings, retrieve_ms=retrieve_ms, rerank_ms=watch.lap(), total_ms=watch.total()),
        )

    def _augmented(
        self, body: JsonObject, parts: Anatomy, vector: SparseVector, meta: IndexMeta, matching: Matching
    ) -> JsonObject:
        lexical, sparse = self._profile.lexical, self._profile.sparse
        assert sparse is not None
        return augmented_body(
            body,
            parts,
            self._first.sparse_clause(vector, meta, boost=sparse.weight),
            lexical_weight=0.0 if lexical is None else lexical.weight,
            matching=matching,
            hidden_fields=(meta.vector_field, meta.hash_field),
        )


def _heaviest(vector: SparseVector) -> SparseVector:
    """The body's own clauses count against the cluster's limit (1,024) too: they are left half of it."""
    return SparseVector(vector.term_ids[:MAX_TERMS], vector.weights[:MAX_TERMS], vector.terms[:MAX_TERMS])


def _restrictions(body: JsonObject, parts: Anatomy, matching: Matching) -> tuple[JsonObject, ...]:
    """Return what documents must match to be fed back: what they must match to be found by the augmented body."""
    clauses: list[JsonValue] = [*parts.must, *parts.filter]
    if matching is Matching.OWN:
        clauses = [body.get("query")]
    elif parts.must_not:
        clauses.append({"bool": {"must_not": list(parts.must_not)}})
    clauses.append(body.get("post_filter"))
    return tuple(clause for clause in clauses if isinstance(clause, Mapping))


def _number(value: JsonValue, default: int) -> int:
    return value if isinstance(value, int) else default


def _score(hit: JsonObject) -> float:
    score = hit.get("_score")
    return float(score) if isinstance(score, int | float) else 0.0


def _with_hits(raw: JsonObject, hits: Sequence[JsonObject]) -> JsonObject:
    outer = raw.get("hits")
    return {**raw, "hits": {**(outer if isinstance(outer, Mapping) else {}), "hits": list(hits)}}
