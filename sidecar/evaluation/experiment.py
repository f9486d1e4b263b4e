"""Running profiles on a collection and measuring what comes back."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.client import AsyncSidecarClient
from sidecar.domain import JsonObject, Query, Side, Windows
from sidecar.engine import Engine, IndexMeta, PassageRule
from sidecar.engine.features import sentinel
from sidecar.engine.passage_field import VECTOR
from sidecar.errors import EvaluationError
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.measures import COMPARED, Effectiveness, measure
from sidecar.evaluation.report import CollectionReport, ProfileReport, VectorReport
from sidecar.evaluation.run import Ranked, Run
from sidecar.evaluation.significance import compare, corrected
from sidecar.evaluation.statistics import VectorCounts, flops, latency
from sidecar.evaluation.temporary_index import Indexed, indexed_collection
from sidecar.search import NO_QUERY_TERMS, AsyncSearcher, Profile, SearchResult, Sparse

__all__ = ["Experiment", "Plan"]

DEFAULT_BASELINE = "lexical"
PATIENCE_SECONDS = 600.0
ENCODED_AT_ONCE = 256
READ_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `depth` hits per query go into the run; latency is taken on the first `latency_queries`.

    `passages`: documents get a vector for each of their passages instead of one. `baseline`: the profile that the
    others are compared with; none: `lexical` where it is among them, else the first.

    Raises EvaluationError where there is no profile, two have one name, or the baseline is none of them.
    """

    profiles: tuple[Profile, ...]
    baseline: str | None = None
    depth: int = 100
    latency_queries: int = 50
    latency_size: int = 10
    sampled_documents: int = 5_000
    windows: Windows | None = None
    passages: PassageRule | None = None
    model: str | None = None
    per_query: bool = False

    def __post_init__(self) -> None:
        names = [profile.name for profile in self.profiles]
        if not names:
            raise EvaluationError("There is no profile to evaluate: name one at least.")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise EvaluationError(f"Two profiles are called {twice}: give one of them another `name`.")
        if self.baseline is not None and self.baseline not in names:
            raise EvaluationError(f"The baseline {self.baseline} is none of the profiles: {', '.join(names)}.")

    @property
    def compared_with(self) -> str:
        """Name of the profile that the others are compared with."""
        names = [profile.name for profile in self.profiles]
        return self.baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[0])


class Experiment:
    """Evaluates one collection after the other on one cluster and one sidecar.

    `say` is told what is being done, for a progress display: a line, how much is done and of how much.
    """

    def __init__(
        self,
        engine: Engine,
        sidecar: AsyncSidecarClient,
        plan: Plan,
        say: Callable[[str, int, int], None] = lambda _line, _done, _total: None,
    ) -> None:
        self.runs: dict[tuple[str, str], Run] = {}
        self._engine = engine
        self._sidecar = sidecar
        self._plan = plan
        self._say = say

    async def evaluate(self, collection: Collection) -> CollectionReport:
        """Index the collection, run every profile, and delete the index again. `runs` keeps the runs."""
        total = len(collection.documents)
        async with indexed_collection(
            self._engine,
            self._sidecar,
            collection,
            model=self._plan.model,
            windows=self._plan.windows,
            passages=self._plan.passages,
            progress=lambda summary: self._say(f"{collection.name}: indexing", summary.written, total),
        ) as indexed:
            vectors = await self._vectors(collection, indexed)
            found: dict[str, tuple[Effectiveness, ProfileReport]] = {}
            for profile in self._plan.profiles:
                found[profile.name] = await self._profile(collection, indexed, profile)
        return CollectionReport(
            collection=collection.name,
            split=collection.split,
            documents=total,
            empty_documents=collection.empty_documents,
            missing_documents=collection.missing_documents,
            queries=len(collection.queries),
            queries_missing_relevant=collection.queries_missing_relevant,
            removed_own_documents=len(collection.own_documents),
            index_bytes=indexed.size_bytes,
            documents_truncated=indexed.summary.truncated,
            documents_per_second=indexed.summary.documents_per_second,
            passages=indexed.meta.passages,
            vectors=vectors,
            profiles=tuple(_compared(found, collection.queries, self._plan.compared_with)),
        )

    async def _profile(
        self, collection: Collection, indexed: Indexed, profile: Profile
    ) -> tuple[Effectiveness, ProfileReport]:
        searcher = AsyncSearcher(self._engine, self._sidecar, _patient(profile), index=indexed.name)
        run: dict[str, list[Ranked]] = {}
        without_terms = 0
        for number, query in enumerate(collection.queries):
            self._say(f"{collection.name}: {profile.name}", number, len(collection.queries))
            own = collection.own_documents.get(query.id)
            result = await self._searched(searcher, query, self._plan.depth + (own is not None))
            without_terms += result.degraded == NO_QUERY_TERMS
            run[query.id] = _ranking(result, own, self._plan.depth)
        self.runs[(collection.name, profile.name)] = run
        effectiveness = measure(run, collection.judgements)
        timed = [
            await self._searched(searcher, query, self._plan.latency_size)
            for query in collection.queries[: self._plan.latency_queries]
        ]
        return effectiveness, ProfileReport(
            profile=profile.name,
            settings=profile.model_dump(mode="json"),
            means=effectiveness.means,
            latency_ms=latency([result.timings.total_ms for result in timed]),
            latency_queries=len(timed),
            stages_ms=_stages(timed),
            without_terms=without_terms,
            per_query=effectiveness.per_query if self._plan.per_query else None,
        )

    async def _searched(self, searcher: AsyncSearcher, query: Query, size: int) -> SearchResult:
        """Search; raise EvaluationError where the answer is not the profile's own, and would be measured as if."""
        result = await searcher.search(query.text, size=size)
        if result.degraded is not None and result.degraded != NO_QUERY_TERMS:
            raise EvaluationError(
                f"The search for query {query.id} went without its stage {result.degraded_stage}"
                f" ({result.degraded}): there is nothing to measure. Is the sidecar well?"
            )
        if result.partial:
            raise EvaluationError(f"The cluster answered query {query.id} in part: shards are missing or late.")
        return result

    async def _vectors(self, collection: Collection, indexed: Indexed) -> VectorReport:
        queries = VectorCounts()
        for start in range(0, len(collection.queries), ENCODED_AT_ONCE):
            part = collection.queries[start : start + ENCODED_AT_ONCE]
            answer = await self._sidecar.encode(
                [query.text for query in part],
                side=Side.QUERY,
                model=indexed.meta.bundle,
                return_terms=True,
                expected_fingerprint=indexed.meta.fingerprint,
                timeout=PATIENCE_SECONDS,
            )
            for encoding in answer.encodings:
                queries.add(encoding.vector.terms)
        documents = await self._document_vectors(collection, indexed)
        return VectorReport(
            documents_sampled=documents.texts,
            mean_document_vectors=documents.mean_vectors,
            mean_document_terms=documents.mean_terms,
            mean_query_terms=queries.mean_terms,
            flops=flops(queries, documents),
        )

    async def _document_vectors(self, collection: Collection, indexed: Indexed) -> VectorCounts:
        """Count the terms of the vectors as they are stored, of every n-th document that has one."""
        stride = max(1, -(-len(collection.documents) // self._plan.sampled_documents))
        names = [document.id for document in collection.documents[::stride] if collection.text_of(document)]
        counts = VectorCounts()
        hidden = sentinel(indexed.meta.fingerprint)
        for start in range(0, len(names), READ_AT_ONCE):
            part = names[start : start + READ_AT_ONCE]
            self._say(f"{collection.name}: reading vectors", start, len(names))
            for source in await asyncio.gather(*(self._engine.get(indexed.name, name) for name in part)):
                vectors = [] if source is None else _stored_vectors(source, indexed.meta)
                if not vectors:
                    raise EvaluationError(f"A document of {collection.name} has text and no vector.")
                # Feature names are as good as terms for counting: escaping maps them one to one.
                counts.add(*([feature for feature in vector if feature != hidden] for vector in vectors))
        return counts


def _stored_vectors(source: JsonObject, meta: IndexMeta) -> list[JsonObject]:
    """Return a document's vector, or those of its passages; an empty list where there is none, or not of each."""
    stored = source.get(meta.vector_field)
    if meta.passages is None:
        return [stored] if isinstance(stored, Mapping) else []
    objects = stored if isinstance(stored, list) else []
    vectors = [one.get(VECTOR) if isinstance(one, Mapping) else None for one in objects]
    found = [one for one in vectors if isinstance(one, Mapping)]
    return found if len(found) == len(objects) else []


def _patient(profile: Profile) -> Profile:
    """The same profile with time enough: effectiveness must not depend on how busy the machine is."""
    patience = {"timeout": PATIENCE_SECONDS}
    rerank = None if profile.rerank is None else profile.rerank.model_copy(update=patience)
    retrievers = tuple(
        one.model_copy(update={"feedback": one.feedback.model_copy(update=patience)})
        if isinstance(one, Sparse) and one.feedback is not None
        else one
        for one in profile.retrievers
    )
    times = {"encode_timeout": PATIENCE_SECONDS, **patience}
    return profile.model_copy(update={**times, "retrievers": retrievers, "rerank": rerank})


def _ranking(result: SearchResult, own: str | None, depth: int) -> list[Ranked]:
    """A run's lines. Head and tail of a reranked answer have no scale in common: the score is the reversed rank."""
    names = [hit.id for hit in result.hits if hit.id != own][:depth]
    return [Ranked(name, float(depth - rank)) for rank, name in enumerate(names)]


def _stages(results: Sequence[SearchResult]) -> dict[str, float]:
    if not results:
        return {}
    stages = {
        "encode": statistics.fmean(result.timings.encode_ms for result in results),
        "retrieve": statistics.fmean(result.timings.retrieve_ms for result in results),
        "rerank": statistics.fmean(result.timings.rerank_ms for result in results),
    }
    feedback = statistics.fmean(result.timings.feedback_ms for result in results)
    return {**stages, "feedback": feedback} if feedback else stages


def _compared(
    found: Mapping[str, tuple[Effectiveness, ProfileReport]], queries: Sequence[Query], baseline: str
) -> list[ProfileReport]:
    """Add the comparisons with the baseline, corrected over the profiles."""
    names = [query.id for query in queries]
    values = {profile: effectiveness.values(COMPARED, names) for profile, (effectiveness, _) in found.items()}
    comparisons = corrected(
        {profile: compare(own, values[baseline]) for profile, own in values.items() if profile != baseline}
    )
    return [
        report.model_copy(update={"against_baseline": comparisons.get(profile)})
        for profile, (_, report) in found.items()
    ]
