"""What profiles are measured on, and searches that are fit to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.domain import Query
from sidecar.engine import IndexMeta
from sidecar.errors import EvaluationError
from sidecar.evaluation.judged import JudgedQueries
from sidecar.evaluation.run import Ranked
from sidecar.search import NO_QUERY_TERMS, AsyncSearcher, Profile, SearchResult, Sparse

__all__ = ["PATIENCE_SECONDS", "Target", "check_whole", "patient", "ranking", "searched"]

PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Target:
    """Judged queries, and the index that they are searched in.

    `own_documents`: by query id, the document that is the query, whose hit does not count.
    """

    judged: JudgedQueries
    index: str
    meta: IndexMeta
    own_documents: Mapping[str, str]


def patient(profile: Profile) -> Profile:
    """Return the same profile with time enough: effectiveness must not depend on how busy the machine is."""
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


async def searched(searcher: AsyncSearcher, query: Query, size: int) -> SearchResult:
    """Search; raise EvaluationError where the answer is not the profile's own, and would be measured as if."""
    result = await searcher.search(query.text, size=size)
    check_whole(query, result.degraded, result.degraded_stage, result.partial)
    return result


def check_whole(query: Query, degraded: str | None, stage: str | None, partial: bool) -> None:
    """Raise EvaluationError where a search went without a stage (but for a query that has no term), or a shard."""
    if degraded is not None and degraded != NO_QUERY_TERMS:
        raise EvaluationError(
            f"The search for query {query.id} went without its stage {stage} ({degraded}): there is nothing to"
            " measure. Is the sidecar well?"
        )
    if partial:
        raise EvaluationError(f"The cluster answered query {query.id} in part: shards are missing or late.")


def ranking(result: SearchResult, own: str | None, depth: int) -> list[Ranked]:
    """Return a run's lines. Head and tail of a reranked answer have no scale in common: scores are reversed ranks.

    Behind an alias, and behind several routings, several documents may have one id, and judgements know ids alone: the
    best place counts.
    """
    names = [name for name in dict.fromkeys(hit.id for hit in result.hits) if name != own][:depth]
    return [Ranked(name, float(depth - rank)) for rank, name in enumerate(names)]
