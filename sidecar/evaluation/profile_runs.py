"""One profile on one target: its run, what it is worth, and how long it takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Query
from sidecar.engine import Engine
from sidecar.evaluation.measures import COMPARED, Effectiveness, measure
from sidecar.evaluation.plan import Plan
from sidecar.evaluation.report import ProfileReport
from sidecar.evaluation.run import Ranked, Run
from sidecar.evaluation.significance import compare, corrected
from sidecar.evaluation.statistics import latency
from sidecar.evaluation.target import Target, patient, ranking, searched
from sidecar.search import NO_QUERY_TERMS, AsyncSearcher, Profile, SearchResult

__all__ = ["ProfileRuns", "compared"]


class ProfileRuns:
    """Runs profiles on targets, one after the other; nothing is written to an index. `say` as `Experiment` has it."""

    def __init__(
        self, engine: Engine, sidecar: AsyncSidecarClient, plan: Plan, say: Callable[[str, int, int], None]
    ) -> None:
        self._engine = engine
        self._sidecar = sidecar
        self._plan = plan
        self._say = say

    async def measured(self, target: Target, profile: Profile) -> tuple[Run, Effectiveness, ProfileReport]:
        """Search for every query, then for some of them again to take the time.

        Raises EvaluationError where a search fell back to less than the profile.
        """
        judged = target.judged
        searcher = AsyncSearcher(self._engine, self._sidecar, patient(profile), index=target.index)
        run: dict[str, list[Ranked]] = {}
        without_terms = 0
        for number, query in enumerate(judged.queries):
            self._say(f"{judged.name}: {profile.name}", number, len(judged.queries))
            own = target.own_documents.get(query.id)
            result = await searched(searcher, query, self._plan.depth + (own is not None))
            without_terms += result.degraded == NO_QUERY_TERMS
            run[query.id] = ranking(result, own, self._plan.depth)
        effectiveness = measure(run, judged.judgements)
        timed = [
            await searched(searcher, query, self._plan.latency_size)
            for query in judged.queries[: self._plan.latency_queries]
        ]
        report = ProfileReport(
            profile=profile.name,
            settings=profile.model_dump(mode="json"),
            means=effectiveness.means,
            latency_ms=latency([result.timings.total_ms for result in timed]),
            latency_queries=len(timed),
            stages_ms=_stages(timed),
            without_terms=without_terms,
            per_query=effectiveness.per_query if self._plan.per_query else None,
        )
        return run, effectiveness, report


def compared(
    found: Mapping[str, tuple[Effectiveness, ProfileReport]], queries: Sequence[Query], baseline: str
) -> list[ProfileReport]:
    """Return the reports with their comparisons with the baseline, corrected over the profiles."""
    names = [query.id for query in queries]
    values = {profile: effectiveness.values(COMPARED, names) for profile, (effectiveness, _) in found.items()}
    comparisons = corrected(
        {profile: compare(own, values[baseline]) for profile, own in values.items() if profile != baseline}
    )
    return [
        report.model_copy(update={"against_baseline": comparisons.get(profile)})
        for profile, (_, report) in found.items()
    ]


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
