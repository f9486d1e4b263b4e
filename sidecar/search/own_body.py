"""Executing an application's own `_search` body, augmented and reranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import Engine, IndexMeta, SearchResponse
from sidecar.search.augment import Augmented, Matching, augmented_body
from sidecar.search.bodies import Anatomy, Unchanged, anatomy, refusal
from sidecar.search.degradation import NO_QUERY_TERMS, Deadline, Degraded
from sidecar.search.encoding import IndexRecord, PinnedRecord, QueryEncoder, Record
from sidecar.search.expansion import QueryExpander
from sidecar.search.hiding import without_fields
from sidecar.search.identity import raw_key_of
from sidecar.search.moved import ATTEMPTS, has_left, has_moved
from sidecar.search.paging import page_of, why_not_reranked
from sidecar.search.profile import Profile
from sidecar.search.reranking import Head, Reranked, Reranker
from sidecar.search.result import BodyResult, StageTimings, raw_hits
from sidecar.search.retrieval import FirstStage
from sidecar.search.stopwatch import Stopwatch
from sidecar.search.text import check_body, check_query
from sidecar.search.tracing import traced_stage

__all__ = ["OwnBody"]

MAX_TERMS = 512


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
        """Return the augmented body, or the body with its own query and why."""
        found, _ = await self._prepared(body, text, matching, deadline, self._record.pinned(deadline), Stopwatch())
        return await self._without_vectors(found, deadline)

    async def search(self, body: JsonObject, text: str | None, matching: Matching, deadline: Deadline) -> BodyResult:
        """Augment, execute, rerank; again where the name was pointed at another model's index meanwhile."""
        watch = Stopwatch()
        record = self._record.pinned(deadline)
        for _ in range(ATTEMPTS):
            prepared, timings = await self._prepared(body, text, matching, deadline, record, watch)
            augmented = await self._without_vectors(prepared, deadline)
            result, unread = await self._executed(body, text, augmented, timings, record, watch, deadline)
            moved = augmented.unchanged is None and await self._moved(record, result)
            if not moved and not (unread and await has_left(self._engine, self._index, record, unread)):
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
        check_body(body, text)
        parts = await self._anatomy(body, text, record, extend=matching is Matching.EXTEND)
        if parts.unchanged is not None or parts.text is None:
            return Augmented(body, parts.unchanged), StageTimings()
        check_query(parts.text)
        if self._encoder is None or self._profile.sparse is None:
            return Augmented(body, Unchanged.LEXICAL_PROFILE), StageTimings()
        encoded = await self._encoder.encode(parts.text, record, deadline.half(self._profile.encode_timeout))
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

    async def _anatomy(self, body: JsonObject, text: str | None, record: Record, *, extend: bool) -> Anatomy:
        reason = refusal(body)
        if reason is not None:
            return Anatomy(unchanged=reason)
        fields = self._engine.text_fields(self._index, await record.get())
        return anatomy(body, fields, text, extend=extend)

    async def _without_vectors(self, found: Augmented, deadline: Deadline) -> Augmented:
        hidden = await self._engine.hidden_fields(self._index, timeout=deadline.left())
        return replace(found, body=without_fields(found.body, hidden))

    async def _moved(self, record: PinnedRecord, result: BodyResult) -> bool:
        hits = [str(hit.get("_index")) for hit in raw_hits(result.response)]
        return await has_moved(self._engine, self._index, record, await record.get(), [hits])

    async def _executed(
        self,
        body: JsonObject,
        text: str | None,
        augmented: Augmented,
        timings: StageTimings,
        record: PinnedRecord,
        watch: Stopwatch,
        deadline: Deadline,
    ) -> tuple[BodyResult, frozenset[str]]:
        """Return the answer, and the indices of hits that could not be read to be reranked."""
        # Whatever may be widened of the query: its text is what its hits are read for.
        wanted = (await self._anatomy(body, text, record, extend=False)).text
        policy = self._profile.rerank
        lost = augmented.degraded_stage == "encode" and augmented.degraded != NO_QUERY_TERMS
        reranks = self._reranker is not None and policy is not None and wanted is not None and not lost
        against = why_not_reranked(body) if reranks else None
        if self._reranker is None or policy is None or wanted is None or lost or against is not None:
            answer = await self._retrieved(augmented.body, deadline)
            result = BodyResult(
                answer.raw,
                augmented.unchanged,
                augmented.degraded,
                augmented.degraded_stage,
                replace(timings, retrieve_ms=watch.lap(), total_ms=watch.total()),
                against,
            )
            return result, frozenset()
        page = page_of(body)
        end = page.start + page.size
        window = max(policy.depth, end)
        answer = await self._retrieved({**augmented.body, "from": 0, "size": window}, deadline)
        meta = await record.get()
        hits = raw_hits(answer.raw)
        keys = [raw_key_of(hit) for hit in hits[: policy.depth]]
        texts = await self._first.sources(keys, list(meta.source_fields), timeout=deadline.left())
        retrieve_ms = watch.lap()
        head = [
            Head(position, texts.get(key, {}), _score(hit))
            for position, (key, hit) in enumerate(zip(keys, hits, strict=False))
        ]
        reranked = await self._reranker.rerank(
            wanted, head, len(hits), meta.source_fields, deadline.left(policy.timeout), page=end
        )
        failed = reranked if isinstance(reranked, Degraded) else None
        ordered = list(hits) if isinstance(reranked, Degraded) else _in_order(hits, reranked)
        degraded, stage = augmented.degraded, augmented.degraded_stage
        if failed is not None and stage != "encode":
            degraded, stage = failed.reason, failed.stage
        result = BodyResult(
            _with_hits(answer.raw, ordered[page.start : end]),
            augmented.unchanged,
            degraded,
            stage,
            replace(timings, retrieve_ms=retrieve_ms, rerank_ms=watch.lap(), total_ms=watch.total()),
        )
        return result, frozenset(key[1] for key in keys if key not in texts)

    @traced_stage("retrieve")
    async def _retrieved(self, body: JsonObject, deadline: Deadline) -> SearchResponse:
        return await self._engine.search(self._index, body, timeout=deadline.left())

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
        )


def _in_order(hits: Sequence[JsonObject], reranked: Reranked) -> list[JsonObject]:
    return [
        {**hits[position], "_rerank_score": reranked.scores[position]}
        if position in reranked.scores
        else hits[position]
        for position in reranked.order
    ]


def _heaviest(vector: SparseVector) -> SparseVector:
    """The body's own clauses count against the cluster's limit (1,024) too: they are left half of it."""
    return SparseVector(vector.term_ids[:MAX_TERMS], vector.weights[:MAX_TERMS], vector.terms[:MAX_TERMS])


def _restrictions(body: JsonObject, parts: Anatomy, matching: Matching) -> tuple[JsonObject, ...]:
    """Return what documents must match to be fed back: what they must match to be found by the augmented body."""
    clauses = [body.get("query")] if matching is Matching.OWN else list(parts.restrictions)
    clauses.append(body.get("post_filter"))
    return tuple(clause for clause in clauses if isinstance(clause, Mapping))


def _score(hit: JsonObject) -> float:
    score = hit.get("_score")
    return float(score) if isinstance(score, int | float) else 0.0


def _with_hits(raw: JsonObject, hits: Sequence[JsonObject]) -> JsonObject:
    outer = raw.get("hits")
    return {**raw, "hits": {**(outer if isinstance(outer, Mapping) else {}), "hits": list(hits)}}
