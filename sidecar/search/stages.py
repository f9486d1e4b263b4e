"""What of a search asks the cluster, by one connection: the same stages again for another preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import Engine
from sidecar.search.degradation import NO_QUERY_TERMS, Deadline, Degraded
from sidecar.search.encoding import IndexRecord, PinnedRecord, QueryEncoder
from sidecar.search.expansion import Expansion, QueryExpander
from sidecar.search.explainer import Explainer
from sidecar.search.identity import DocumentKey, key_of
from sidecar.search.lexical_fields import require_fields
from sidecar.search.moved import ATTEMPTS, has_left, has_moved
from sidecar.search.own_body import OwnBody
from sidecar.search.passages import BestPassage, Passages
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Profile
from sidecar.search.reranking import Reranker
from sidecar.search.result import StageTimings
from sidecar.search.retrieval import FirstStage, Found, Question
from sidecar.search.stopwatch import Stopwatch

__all__ = ["Call", "Retrieved", "Stages"]


@dataclass(frozen=True, slots=True)
class Call:
    """One search under way: the ranks `from_ + 1` to `from_ + size` are asked for; what it goes by until it ends."""

    text: str
    filters: tuple[JsonObject, ...]
    size: int
    from_: int
    record: PinnedRecord
    watch: Stopwatch
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the first stage found, and by what; its first `head` candidates are to be reranked."""

    question: Question
    found: Found
    head: int
    expansion: Expansion
    degraded: Degraded | None
    timings: StageTimings


class Stages:
    """The stages of one index and one profile. Encoder and reranker are shared, and so is the index's record."""

    def __init__(
        self,
        engine: Engine,
        index: str,
        profile: Profile,
        sidecar: Sidecar | None,
        record: IndexRecord,
        encoder: QueryEncoder | None,
        reranker: Reranker | None,
    ) -> None:
        self._engine = engine
        self._index = index
        self._profile = profile
        self._sidecar = sidecar
        self._record = record
        self._encoder = encoder
        self._reranker = reranker
        self._passages = Passages(engine, index)
        self.first = FirstStage(engine, index, profile)
        self.explainer = Explainer(engine, index, self.first)
        self.expander = self._made_expander()
        self.own_body = OwnBody(engine, index, profile, record, self.first, encoder, self.expander, reranker)

    def preferring(self, preference: str | None) -> Stages:
        """Return these stages where there is no preference, else others, each request of which has it."""
        if preference is None:
            return self
        return Stages(
            self._engine.preferring(preference),
            self._index,
            self._profile,
            self._sidecar,
            self._record,
            self._encoder,
            self._reranker,
        )

    async def retrieved(self, call: Call) -> Retrieved:
        """Encode, expand and retrieve; again where the alias was pointed at another model's index meanwhile."""
        record, watch, deadline = call.record, call.watch, call.deadline
        encode_ms = feedback_ms = retrieve_ms = 0.0
        for _ in range(ATTEMPTS):
            await require_fields(self._engine, self._index, self._profile, record)
            vector, degraded = await self._vector(call.text, record, deadline)
            encode_ms += watch.lap() if self._encoder is not None else 0.0
            expansion = Expansion(vector)
            if vector is not None and self.expander is not None:
                expansion = await self.expander.expand(vector, call.filters, record, deadline)
                feedback_ms += watch.lap()
            question = Question(call.text, expansion.vector, call.filters, await record.get())
            head = self._head(call.from_, degraded)
            found = await self.first.find(
                question, size=call.size, from_=call.from_, head=head, timeout=deadline.left()
            )
            moved = vector is not None and await has_moved(
                self._engine, self._index, record, question.meta, (*expansion.indices, *found.indices)
            )
            if not moved:
                whole = await self._with_sources(found, question, head, call)
                lost = {one.index for one in found.candidates} if len(whole.candidates) < len(found.candidates) else ()
                moved = bool(lost) and await has_left(self._engine, self._index, record, lost)
                found = found if moved else whole
            retrieve_ms += watch.lap()
            if not moved:
                break
        found = await self._with_sources(found, question, head, call)
        retrieve_ms += watch.lap()
        timings = StageTimings(encode_ms=encode_ms, retrieve_ms=retrieve_ms, feedback_ms=feedback_ms)
        return Retrieved(question, found, head, expansion, degraded, timings)

    async def _vector(
        self, text: str, record: PinnedRecord, deadline: Deadline
    ) -> tuple[SparseVector | None, Degraded | None]:
        if self._encoder is None:
            return None, None
        encoded = await self._encoder.encode(text, record, deadline.half(self._profile.encode_timeout))
        return (None, encoded) if isinstance(encoded, Degraded) else (encoded, None)

    def _head(self, from_: int, degraded: Degraded | None) -> int:
        """How many documents are reranked for a page that begins at `from_`: the profile's depth, or 0."""
        policy = self._profile.rerank
        if policy is None or (degraded is not None and degraded.reason != NO_QUERY_TERMS):
            return 0
        return policy.depth if from_ < policy.depth or policy.cut_off is not None else 0

    async def _with_sources(self, found: Found, question: Question, head: int, call: Call) -> Found:
        """Fetch the documents of the head and of the page, where the first stage brought only ids.

        A document that was deleted in between is left out, and the next one stands in for it.
        """
        if found.has_sources:
            return found
        hidden = {"excludes": [question.meta.vector_field, question.meta.hash_field]}
        candidates, spare = found.candidates, 0
        sources: dict[DocumentKey, Mapping[str, object]] = {}
        while True:
            wanted = [*candidates[:head], *candidates[max(head, call.from_) : call.from_ + call.size + spare]]
            asked = [key for key in map(key_of, wanted) if key not in sources]
            if asked:
                sources |= await self.first.sources(asked, hidden, timeout=call.deadline.left())
            gone = set(asked) - sources.keys()
            if not gone:
                break
            candidates = [candidate for candidate in candidates if key_of(candidate) not in gone]
            # Where many are gone, a few requests find the others.
            spare = 2 * spare + len(gone)
        candidates = [replace(candidate, source=sources.get(key_of(candidate), {})) for candidate in candidates]
        return replace(found, candidates=candidates, has_sources=True)

    async def best(
        self, documents: Sequence[DocumentKey], question: Question, deadline: Deadline
    ) -> dict[DocumentKey, BestPassage]:
        """Return the best passages of documents, in an index that has passages."""
        return await self._passages.best(documents, question.vector, question.meta, timeout=deadline.left())

    def _made_expander(self) -> QueryExpander | None:
        sparse = self._profile.sparse
        if self._sidecar is None or sparse is None or sparse.feedback is None or sparse.feedback.weight <= 0.0:
            return None
        return QueryExpander(self._engine, self._index, self._sidecar, sparse, sparse.feedback, self.first)
