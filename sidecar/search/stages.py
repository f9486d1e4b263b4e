"""What of a search asks the cluster, by one connection: the same stages again for another preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.engine import Engine
from sidecar.search.degradation import Deadline
from sidecar.search.encoding import IndexRecord, QueryEncoder
from sidecar.search.expansion import QueryExpander
from sidecar.search.explainer import Explainer
from sidecar.search.identity import DocumentKey, key_of
from sidecar.search.own_body import OwnBody
from sidecar.search.passages import BestPassage, Passages
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Profile
from sidecar.search.reranking import Reranker
from sidecar.search.retrieval import FirstStage, Found, Question

__all__ = ["Stages"]


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

    async def with_sources(
        self, found: Found, question: Question, *, size: int, from_: int, head: int, deadline: Deadline
    ) -> Found:
        """Fetch the documents of the head and of the page, where the first stage brought only ids.

        A document that was deleted in between is left out, and the next one stands in for it.
        """
        if found.has_sources:
            return found
        hidden = {"excludes": [question.meta.vector_field, question.meta.hash_field]}
        candidates, spare = found.candidates, 0
        sources: dict[DocumentKey, Mapping[str, object]] = {}
        while True:
            wanted = [*candidates[:head], *candidates[max(head, from_) : from_ + size + spare]]
            asked = [key for key in map(key_of, wanted) if key not in sources]
            if asked:
                sources |= await self.first.sources(asked, hidden, timeout=deadline.left())
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
