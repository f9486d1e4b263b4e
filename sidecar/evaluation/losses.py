"""Which queries a profile answers worse than the baseline does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.domain import Query
from sidecar.evaluation.judged import JudgedQueries
from sidecar.evaluation.measures import COMPARED, measure
from sidecar.evaluation.run import Run

__all__ = ["ProfileLosses", "QueryLoss", "losses"]


@dataclass(frozen=True, slots=True)
class QueryLoss:
    """One query, and its nDCG@10 by the baseline and by the profile."""

    query: Query
    before: float
    after: float

    @property
    def change(self) -> float:
        """Below 0: what was lost."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class ProfileLosses:
    """What one profile lost on one collection, worst first; `count` queries lost something in all."""

    collection: str
    profile: str
    count: int
    worst: tuple[QueryLoss, ...]


def losses(judged: JudgedQueries, runs: Mapping[str, Run], baseline: str, shown: int) -> tuple[ProfileLosses, ...]:
    """Return for each profile of `runs` but the baseline the `shown` queries that lost most against it."""
    values = {name: measure(run, judged.judgements).per_query for name, run in runs.items()}
    found: list[ProfileLosses] = []
    for name in runs:
        if name == baseline:
            continue
        pairs = [
            QueryLoss(query, values[baseline][query.id][COMPARED], values[name][query.id][COMPARED])
            for query in judged.queries
        ]
        lost = sorted((pair for pair in pairs if pair.change < 0.0), key=lambda pair: pair.change)
        found.append(ProfileLosses(judged.name, name, len(lost), tuple(lost[:shown])))
    return tuple(found)
