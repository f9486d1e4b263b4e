"""What all settings are computed from: each retriever's list, and the reranker's scores, asked for once per query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Query, RankedDocument, SparseVector
from sidecar.engine import Engine
from sidecar.errors import EvaluationError
from sidecar.evaluation.target import PATIENCE_SECONDS, Target, check_whole
from sidecar.search import Profile, Sparse
from sidecar.search.candidates import Retrieved
from sidecar.search.degradation import Deadline, Degraded
from sidecar.search.encoding import IndexRecord, PinnedRecord, QueryEncoder
from sidecar.search.expansion import QueryExpander
from sidecar.search.fusion import Scored
from sidecar.search.identity import DocumentKey
from sidecar.search.passages import Passages
from sidecar.search.reranking import Head, Reranker, in_order
from sidecar.search.retrieval import FirstStage, Question

__all__ = ["Gatherer", "Read", "ScoredList", "Searches"]

READ_AT_ONCE = 128

Read = Mapping[DocumentKey, RankedDocument | None]
"""What the reranker says of documents; None: a document without text."""


@dataclass(frozen=True, slots=True)
class ScoredList:
    """What a ranking takes of a retriever's list: thousands of them are made of the same lists."""

    retriever: str
    weight: float
    hits: tuple[Scored[DocumentKey], ...]

    @classmethod
    def of(cls, found: Retrieved) -> ScoredList:
        """Return the list without its documents."""
        return cls(found.retriever, found.weight, tuple(found.scored()))


@dataclass(frozen=True, slots=True)
class Searches:
    """One query's searches, by their `collection_idf`: what was asked, and each retriever's list."""

    questions: Mapping[float, Question]
    lists: Mapping[float, tuple[ScoredList, ...]]


class Gatherer:
    """Asks one index and one sidecar, by one profile (a patient one), with the parts that a search is made of.

    `depth`: how many hits of each retriever are wanted. `fingerprint` of the reranker is known after the first reading.
    """

    def __init__(
        self, engine: Engine, sidecar: AsyncSidecarClient, target: Target, profile: Profile, depth: int
    ) -> None:
        self.fingerprint: str | None = None
        self._engine = engine
        self._sidecar = sidecar
        self._target = target
        self._profile = profile
        self._depth = max(depth, profile.candidates)
        self._record = PinnedRecord(IndexRecord(engine, target.index))
        self._first = FirstStage(engine, target.index, profile)
        # Words are searched for once: their list does not depend on `collection_idf`.
        self._again = self._first if profile.summed_in_cluster else FirstStage(engine, target.index, _alone(profile))
        self._passages = Passages(engine, target.index)
        self._reranker = None if profile.rerank is None else Reranker(sidecar, profile.rerank)

    async def searches(self, query: Query, idf_shares: Iterable[float]) -> Searches:
        """Search once for each value of `collection_idf`.

        Raises EvaluationError where an answer is not the profile's own, and what searches raise.
        """
        questions: dict[float, Question] = {}
        lists: dict[float, tuple[ScoredList, ...]] = {}
        for share in idf_shares:
            vector = await self._vector(query, share)
            meta = await self._record.get()
            if meta.fingerprint != self._target.meta.fingerprint:
                raise EvaluationError(f"Index {self._target.index} was migrated to another model: begin again.")
            questions[share] = Question(query.text, vector, (), meta)
            known = next(iter(lists.values()), None)
            if known is not None and vector is None:
                lists[share] = known
            elif known is not None:
                words = [one for one in known if one.retriever == "lexical"]
                lists[share] = (*words, *await self._lists(query, self._again, questions[share]))
            else:
                lists[share] = await self._lists(query, self._first, questions[share])
        return Searches(questions, lists)

    async def read(
        self, query: Query, searches: Searches, heads: Mapping[float, Set[DocumentKey]]
    ) -> dict[float, Read]:
        """Return the reranker's scores of the documents in `heads`, which are those of each value of `collection_idf`.

        A text that several of them have is read once.
        """
        if self._reranker is None:
            return {share: {} for share in heads}
        wanted = sorted({key for keys in heads.values() for key in keys})
        meta = await self._record.get()
        hidden = {"excludes": [meta.vector_field, meta.hash_field]}
        sources = await self._first.sources(wanted, hidden, timeout=PATIENCE_SECONDS)
        texts: dict[float, dict[DocumentKey, str]] = {}
        for share, keys in heads.items():
            # In an index with passages the best one is read, which depends on the query's weights.
            best = await self._passages.best(
                sorted(keys), searches.questions[share].vector, meta, timeout=PATIENCE_SECONDS
            )
            passages = {key: found.text for key, found in best.items()}
            # A document that was deleted in between has no text any more.
            texts[share] = {
                key: Head(0, sources.get(key, {}), 0.0, passages.get(key)).text(meta.source_fields) for key in keys
            }
        scores = await self._scores(query, self._reranker, {text for one in texts.values() for text in one.values()})
        return {share: {key: scores.get(text) for key, text in one.items()} for share, one in texts.items()}

    async def _vector(self, query: Query, share: float) -> SparseVector | None:
        sparse = self._profile.sparse
        if sparse is None:
            return None
        adapted = sparse.model_copy(update={"collection_idf": share})
        encoder = QueryEncoder(self._sidecar, adapted, self._target.index)
        encoded = await encoder.encode(query.text, self._record, PATIENCE_SECONDS)
        if isinstance(encoded, Degraded):
            check_whole(query, encoded.reason, encoded.stage, partial=False)
            return None
        return await self._expanded(query, encoded, adapted)

    async def _expanded(self, query: Query, vector: SparseVector, sparse: Sparse) -> SparseVector | None:
        policy = sparse.feedback
        if policy is None or policy.weight <= 0.0:
            return vector
        expander = QueryExpander(self._engine, self._target.index, self._sidecar, sparse, policy, self._first)
        expansion = await expander.expand(vector, (), self._record, Deadline(PATIENCE_SECONDS))
        if expansion.degraded is not None:
            check_whole(query, expansion.degraded.reason, expansion.degraded.stage, partial=False)
        check_whole(query, None, None, expansion.partial)
        return expansion.vector

    async def _lists(self, query: Query, first: FirstStage, question: Question) -> tuple[ScoredList, ...]:
        found = await first.lists(question, depth=self._depth, timeout=PATIENCE_SECONDS)
        check_whole(query, None, None, found.partial)
        return tuple(map(ScoredList.of, found.retrieved))

    async def _scores(self, query: Query, reranker: Reranker, texts: Set[str]) -> dict[str, RankedDocument]:
        readable = sorted(text for text in texts if text)
        scores: dict[str, RankedDocument] = {}
        for start in range(0, len(readable), READ_AT_ONCE):
            part = readable[start : start + READ_AT_ONCE]
            answer = await reranker.ask(query.text, part, Deadline(PATIENCE_SECONDS))
            if self.fingerprint not in (None, answer.fingerprint):
                raise EvaluationError("The sidecar reranks by another model than when it began: begin again.")
            self.fingerprint = answer.fingerprint
            found = in_order(answer)
            reranker.check(found)
            scores |= dict(zip(part, found, strict=True))
        return scores


def _alone(profile: Profile) -> Profile:
    """Return the profile without its lexical retriever, if it has another one."""
    sparse = profile.sparse
    return profile if sparse is None else profile.model_copy(update={"retrievers": (sparse,)})
