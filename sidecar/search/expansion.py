"""A query's vector with feedback: a first pass, what it found, and the profile's strategy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import Dialect, Engine, IndexMeta, dialect_of
from sidecar.engine.features import MAX_CLAUSES, sentinel
from sidecar.errors import DeadlineExceeded, EngineError, EngineOverloaded, EngineUnavailable, SidecarError
from sidecar.search.degradation import NO_STORED_VECTORS, Deadline, Degraded, degraded_by
from sidecar.search.encoding import Record
from sidecar.search.feedback import Feedback, FeedbackDocument
from sidecar.search.first_pass import FirstPass, FoundDocuments
from sidecar.search.ports import Sidecar
from sidecar.search.profile import Sparse
from sidecar.search.retrieval import FirstStage
from sidecar.search.term_weights import TermWeights
from sidecar.search.tracing import traced_stage

__all__ = ["Expansion", "QueryExpander"]

STAGE = "feedback"

SLACK_SECONDS = 1.0
"""How far the limits of single calls lie behind that of the stage, which is the one to be told."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The vector to search with: the old one where `degraded` says why, or where the first pass found nothing.

    None where there was none. `indices`: those that the first pass's hits come from. `partial`: it lacked shards.
    """

    vector: SparseVector | None
    degraded: Degraded | None = None
    indices: tuple[frozenset[str], ...] = ()
    partial: bool = False


class QueryExpander:
    """Expands the queries of one sparse retriever on one index."""

    def __init__(
        self, engine: Engine, index: str, sidecar: Sidecar, retriever: Sparse, policy: Feedback, first: FirstStage
    ) -> None:
        self._policy = policy
        self._first_pass = FirstPass(engine, index, first)
        self._term_weights = TermWeights(sidecar, retriever)

    @traced_stage("feedback")
    async def expand(
        self,
        vector: SparseVector,
        filters: Sequence[JsonObject],
        record: Record,
        deadline: Deadline,
        limit: int = MAX_CLAUSES,
    ) -> Expansion:
        """Return the new vector, of at most `limit` terms where the old one has no more.

        What takes too long, and what the sidecar does, is a degradation; so is a cluster that is late or overloaded,
        since the search itself may come through. Raises what else the cluster raises.
        """
        # The second pass is the answer: it keeps the other half.
        seconds = min(self._policy.timeout, deadline.left() / 2)
        try:
            async with asyncio.timeout(seconds):
                return await self._expanded(vector, filters, record, seconds + SLACK_SECONDS, limit)
        except TimeoutError:
            late = DeadlineExceeded(f"The first pass and its feedback took longer than {seconds:g} s.")
            return Expansion(vector, degraded_by(STAGE, late))
        except (EngineUnavailable, EngineOverloaded) as error:
            return Expansion(vector, degraded_by(STAGE, error))
        except EngineError:
            raise
        except SidecarError as error:
            return Expansion(vector, degraded_by(STAGE, error))

    async def _expanded(
        self, vector: SparseVector, filters: Sequence[JsonObject], record: Record, timeout: float, limit: int
    ) -> Expansion:
        meta = await record.get()
        dialect = dialect_of(meta)
        found = await self._first_pass.find(vector, filters, meta, size=self._policy.documents, timeout=timeout)
        seen = (found.indices,)
        if any(document.features is None for document in found.documents):
            return Expansion(vector, Degraded(STAGE, NO_STORED_VECTORS), seen, found.partial)
        features = {feature for document in found.documents for feature in document.features or ()}
        if not features:
            return Expansion(vector, None, seen, found.partial)
        named = {feature: dialect.term_of(feature, vector) for feature in sorted(features)}
        weights = await self._term_weights.of(
            [term for term in named.values() if term is not None],
            [document.text for document in found.documents],
            record,
            timeout,
        )
        known = _identities(vector, meta, dialect)
        factors: dict[str, float] | None = None
        if weights is not None:
            known = {**_identities(weights, meta, dialect), **known}
            factors = _by_feature(weights, meta, dialect)
        expanded = self._policy.expanded(_by_feature(vector, meta, dialect), _weighted(found, factors), limit)
        return Expansion(_vector(expanded, known, dialect), None, seen, found.partial)


def _by_feature(vector: SparseVector, meta: IndexMeta, dialect: Dialect) -> dict[str, float]:
    """Return a vector's weights by the names that the index's dialect has for its terms, in the vector's order."""
    features = dialect.document_features(vector, meta.fingerprint)
    features.pop(sentinel(meta.fingerprint), None)
    return features


def _identities(vector: SparseVector, meta: IndexMeta, dialect: Dialect) -> dict[str, tuple[int, str]]:
    """Return term id and term of each feature of a vector, in its order."""
    return dict(zip(_by_feature(vector, meta, dialect), zip(vector.term_ids, vector.terms, strict=True), strict=True))


def _weighted(found: FoundDocuments, factors: Mapping[str, float] | None) -> list[FeedbackDocument]:
    """Return the documents in the query's terms; a term that no query can have is left out.

    `factors` None: both sides of the model speak of terms alike, and a document's own weights will do.
    """
    documents: list[FeedbackDocument] = []
    for document in found.documents:
        stored = document.features or {}
        if factors is not None:
            stored = {feature: weight * factors[feature] for feature, weight in stored.items() if feature in factors}
        documents.append(FeedbackDocument(document.score, stored))
    return documents


def _vector(expanded: Mapping[str, float], known: Mapping[str, tuple[int, str]], dialect: Dialect) -> SparseVector:
    """Return the vector behind features, in a vector's order.

    A term that neither query nor sidecar named is known by its feature alone: where that is no id, it gets one below 0,
    which is nobody else's.
    """
    rows: list[tuple[float, int, str]] = []
    for number, (feature, weight) in enumerate(expanded.items()):
        term_id, term = known.get(feature) or _unnamed(feature, number, dialect)
        rows.append((weight, term_id, term))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return SparseVector(
        tuple(term_id for _, term_id, _ in rows),
        tuple(weight for weight, _, _ in rows),
        tuple(term for *_, term in rows),
    )


def _unnamed(feature: str, number: int, dialect: Dialect) -> tuple[int, str]:
    term = dialect.term_of(feature, SparseVector())
    return (int(feature), feature) if term is None else (-1 - number, term)
