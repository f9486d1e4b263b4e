"""`AsyncSearcher`: retrieve, fuse, rerank, on an index of a cluster that knows nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from sidecar.domain import Candidate, JsonObject
from sidecar.engine import Engine
from sidecar.errors import ProfileInvalid
from sidecar.search.augment import Augmented, Matching
from sidecar.search.builtin import load_profile
from sidecar.search.degradation import Deadline, Degraded
from sidecar.search.encoding import IndexRecord, QueryEncoder
from sidecar.search.identity import DocumentKey, key_of
from sidecar.search.passages import BestPassage
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Profile
from sidecar.search.reranking import Head, Reranker
from sidecar.search.result import BodyResult, SearchHit, SearchResult
from sidecar.search.retrieval import Found, Question
from sidecar.search.stages import Call, Stages
from sidecar.search.stopwatch import Stopwatch
from sidecar.search.text import check_index, check_page, check_query, check_timeout, checked_clauses
from sidecar.search.tracing import traced_search

__all__ = ["AsyncSearcher", "Filter"]

Filter: TypeAlias = JsonObject | Sequence[JsonObject]
"""One query clause or several, all of which a document must match; they do not score."""


class AsyncSearcher:
    """Searches one index by one profile. Holds no connection of its own: it neither opens nor closes what it is given.

    `profile` is a `Profile`, or a built-in's name or a YAML file's path. `sidecar` may be None for a profile that
    neither encodes nor reranks. Safe to share between tasks of one event loop.

    `fingerprint` names one of the two models that an index has while it is migrated, to try the new one before it is
    everybody's; None: the one that the index says is searched, and from a swap on the other one, without an error.

    Usage:
        async with await Engine.connect("http://127.0.0.1:9200") as engine, AsyncSidecarClient() as sidecar:
            searcher = AsyncSearcher(engine, sidecar, "hybrid+rerank", index="articles")
            result = await searcher.search("how do wings stall", size=5, filter={"term": {"kind": "report"}})
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: Sidecar | None,
        profile: Profile | str,
        *,
        index: str,
        fingerprint: str | None = None,
    ) -> None:
        check_index(index)
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.index = index
        self._engine = engine
        self._record = IndexRecord(engine, index, fingerprint=fingerprint)
        encoder: QueryEncoder | None = None
        self._reranker: Reranker | None = None
        if sidecar is not None:
            sparse = self.profile.sparse
            if sparse is not None:
                encoder = QueryEncoder(sidecar, sparse, index)
            if self.profile.rerank is not None:
                self._reranker = Reranker(sidecar, self.profile.rerank)
        elif self.profile.sparse is not None or self.profile.rerank is not None:
            raise ProfileInvalid(f"The profile {self.profile.name} needs a sidecar; none was given.", field="profile")
        self._stages = Stages(engine, index, self.profile, sidecar, self._record, encoder, self._reranker)

    @traced_search("search")
    async def search(
        self,
        text: str,
        size: int = 10,
        from_: int = 0,
        filter: Filter | None = None,
        explain: bool = False,
        passages: bool = False,
        *,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> SearchResult:
        """Return the hits ranked `from_ + 1` to `from_ + size`, in `timeout` seconds or in the profile's, if fewer.

        A sidecar that is gone, late or overloaded never makes it fail: the answer is lexical (or in first-stage
        order, or without feedback) then, and `degraded` says why. Pages of one query never overlap. `explain` fills
        each hit's `why` at the price of one more request, and so does `passages` each hit's best `passage`, in an
        index that has passages. `preference` (`Engine.preferring`) is that of every request that the search makes.

        Raises EmptyText, MalformedText, TextTooLarge, InvalidInput (page, types), FingerprintMismatch (the index is of
        another model), UnknownModel, WrongModelKind and ProfileInvalid (profile), and the cluster's EngineErrors.
        """
        check_query(text)
        check_page(size, from_)
        filters = checked_clauses(filter)
        watch, deadline, stages = Stopwatch(), self._deadline(timeout), self._stages.preferring(preference)
        call = Call(text, filters, size, from_, self._record.pinned(deadline), watch, deadline)
        first = await stages.retrieved(call)
        question, found, head, degraded = first.question, first.found, first.head, first.degraded
        rerank_ms = passages_ms = 0.0
        best: dict[DocumentKey, BestPassage] = {}
        looks = question.meta.passages is not None and question.vector is not None
        if looks and head and self._reranker is not None:
            best = await stages.best([key_of(one) for one in found.candidates[:head]], question, deadline)
            passages_ms = watch.lap()
        if head and self._reranker is not None and self.profile.rerank is not None:
            hits, failed = await self._reranked(found, question, head, from_ + size, best, deadline)
            degraded = degraded or failed
            rerank_ms = watch.lap()
        else:
            hits = _ranked(found.candidates, found.start)
        page = hits[from_ - found.start : from_ - found.start + size]
        if looks and passages:
            shown = [key_of(hit) for hit in page]
            best |= await stages.best([key for key in shown if key not in best], question, deadline)
            page = [replace(hit, passage=best.get(key)) for hit, key in zip(page, shown, strict=True)]
            passages_ms += watch.lap()
        degraded = degraded or first.expansion.degraded
        explain_ms = 0.0
        if explain:
            page = await stages.explainer.explained(page, question, timeout=deadline.left())
            explain_ms = watch.lap()
        return SearchResult(
            hits=tuple(page),
            total=found.total,
            profile=self.profile.name,
            timings=replace(
                first.timings,
                rerank_ms=rerank_ms,
                explain_ms=explain_ms,
                total_ms=watch.total(),
                passages_ms=passages_ms,
            ),
            degraded=None if degraded is None else degraded.reason,
            degraded_stage=None if degraded is None else degraded.stage,
            partial=found.partial or first.expansion.partial,
        )

    @traced_search("augment")
    async def augment(
        self,
        body: JsonObject,
        text: str | None = None,
        *,
        matching: Matching = Matching.EXTEND,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> Augmented:
        """Return an application's own `_search` body with this profile's first stage in it; `body` stays as it is.

        See `sidecar.search.augment.augmented_body` for what is kept, `Unchanged` for what can't be augmented. The text
        is the one its clauses search for; `text` says which where that is not clear.
        """
        return await self._stages.preferring(preference).own_body.augment(body, text, matching, self._deadline(timeout))

    @traced_search("search_body")
    async def search_body(
        self,
        body: JsonObject,
        text: str | None = None,
        *,
        matching: Matching = Matching.EXTEND,
        timeout: float | None = None,
        preference: str | None = None,
    ) -> BodyResult:
        """Augment, execute and rerank an application's own body; return the cluster's answer in its own shape."""
        return await self._stages.preferring(preference).own_body.search(body, text, matching, self._deadline(timeout))

    def _deadline(self, timeout: float | None) -> Deadline:
        check_timeout(timeout)
        return Deadline(self.profile.timeout if timeout is None else min(timeout, self.profile.timeout))

    async def _reranked(
        self,
        found: Found,
        question: Question,
        depth: int,
        page: int,
        best: Mapping[DocumentKey, BestPassage],
        deadline: Deadline,
    ) -> tuple[list[SearchHit], Degraded | None]:
        assert self._reranker is not None
        assert self.profile.rerank is not None
        head = [
            Head(position, candidate.source, candidate.first_stage_score or 0.0, _text_of(best.get(key_of(candidate))))
            for position, candidate in enumerate(found.candidates[:depth])
        ]
        timeout = deadline.left(self.profile.rerank.timeout)
        answer = await self._reranker.rerank(
            question.text, head, len(found.candidates), question.meta.source_fields, timeout, page=page
        )
        if isinstance(answer, Degraded):
            return _ranked(found.candidates, 0), answer
        ordered = [
            replace(found.candidates[position], rerank_score=answer.scores.get(position)) for position in answer.order
        ]
        return _ranked(ordered, 0), None


def _text_of(passage: BestPassage | None) -> str | None:
    return None if passage is None else passage.text


def _ranked(candidates: Sequence[Candidate], start: int) -> list[SearchHit]:
    return [
        SearchHit(
            id=candidate.id,
            rank=rank,
            source=candidate.source,
            index=candidate.index,
            routing=candidate.routing,
            first_stage_score=candidate.first_stage_score,
            lexical_score=candidate.lexical_score,
            sparse_score=candidate.sparse_score,
            rerank_score=candidate.rerank_score,
        )
        for rank, candidate in enumerate(candidates, start=start + 1)
    ]
