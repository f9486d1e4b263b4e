"""Running profiles on collections, or on an index that exists, and measuring what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from sidecar.evaluation.collection import Collection
from sidecar.evaluation.judged import JudgedQueries
from sidecar.evaluation.live_index import LiveIndex, look_at
from sidecar.evaluation.measures import Effectiveness
from sidecar.evaluation.plan import Plan
from sidecar.evaluation.profile_runs import ProfileRuns, compared
from sidecar.evaluation.report import CollectionReport, ProfileReport
from sidecar.evaluation.run import Run
from sidecar.evaluation.target import Target
from sidecar.evaluation.temporary_index import indexed_collection, require_searched_fields
from sidecar.evaluation.vectors import drawn_documents, every_nth_document, vector_report

__all__ = ["Experiment"]


class Experiment:
    """Evaluates one collection after the other, or an index that exists, on one cluster and one sidecar.

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
        self._profiles = ProfileRuns(engine, sidecar, plan, say)

    async def evaluate(self, collection: Collection) -> CollectionReport:
        """Index the collection, run every profile, and delete the index again. `runs` keeps the runs.

        Raises EvaluationError, before anything is indexed, where a profile searches in fields that no collection has.
        """
        require_searched_fields(self._plan.profiles)
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
            target = Target(collection, indexed.name, indexed.meta, collection.own_documents)
            stored = await every_nth_document(self._engine, target, collection, self._plan.sampled_documents, self._say)
            vectors = await vector_report(self._sidecar, target, stored)
            found = await self._measured(target)
        return CollectionReport(
            collection=collection.name,
            split=collection.split,
            documents=total,
            empty_documents=collection.empty_documents,
            missing_documents=collection.missing_documents,
            queries=len(collection.queries),
            queries_missing_relevant=collection.queries_missing_relevant,
            queries_without_relevant=collection.queries_without_relevant,
            removed_own_documents=len(collection.own_documents),
            index_bytes=indexed.size_bytes,
            documents_truncated=indexed.summary.truncated,
            documents_per_second=indexed.summary.documents_per_second,
            passages=indexed.meta.passages,
            vectors=vectors,
            profiles=tuple(compared(found, collection.queries, self._plan.compared_with)),
        )

    async def look_at(self, index: str, judged: JudgedQueries) -> LiveIndex:
        """Return what is known of an index before it is searched; raises as `live_index.look_at`."""
        return await look_at(self._engine, index, judged)

    async def evaluate_index(self, live: LiveIndex) -> CollectionReport:
        """Run every profile on an index that exists, which is only read. `runs` keeps the runs."""
        target, judged = live.target, live.target.judged
        vectors = await vector_report(self._sidecar, target, await drawn_documents(self._engine, target))
        found = await self._measured(target)
        return CollectionReport(
            collection=judged.name,
            index=target.index,
            split=judged.split,
            documents=live.documents,
            documents_without_vector=live.without_vector,
            missing_documents=len(live.missing),
            queries=len(judged.queries),
            queries_missing_relevant=live.queries_missing_relevant,
            queries_without_relevant=judged.queries_without_relevant,
            removed_own_documents=len(target.own_documents),
            index_bytes=live.size_bytes,
            passages=target.meta.passages,
            vectors=vectors,
            profiles=tuple(compared(found, judged.queries, self._plan.compared_with)),
        )

    async def _measured(self, target: Target) -> Mapping[str, tuple[Effectiveness, ProfileReport]]:
        found: dict[str, tuple[Effectiveness, ProfileReport]] = {}
        for profile in self._plan.profiles:
            run, effectiveness, report = await self._profiles.measured(target, profile)
            self.runs[(target.judged.name, profile.name)] = run
            found[profile.name] = (effectiveness, report)
        return found
