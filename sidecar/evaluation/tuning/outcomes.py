"""What each setting is worth for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sidecar.domain import Query
from sidecar.evaluation.judged import Judgements
from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked
from sidecar.evaluation.tuning.evidence import Read
from sidecar.evaluation.tuning.grid import Grid
from sidecar.evaluation.tuning.replay import Reading, policy_of, reading, reranked, top
from sidecar.evaluation.tuning.settings import FirstStageSetting
from sidecar.search.candidates import Place
from sidecar.search.rerank import Rerank

__all__ = ["Outcomes", "tops_of"]


class Outcomes:
    """Values by setting (rows, in the grid's order) and query (columns, in the order in which they were added)."""

    def __init__(self, grid: Grid, measured: str, judgements: Judgements) -> None:
        self.grid = grid
        self.queries: list[str] = []
        self._measured = measured
        self._judgements = judgements
        self._values: list[NDArray[np.float64]] = []
        self._tops: list[tuple[tuple[tuple[str, ...], ...], NDArray[np.int32]]] = []

    def add(self, query: Query, tops: Sequence[tuple[str, ...]]) -> None:
        """Measure one query's answers, of which `tops` has those of each setting."""
        # Many settings give the same answer: each one is measured once, under a name of its own.
        places = {one: place for place, one in enumerate(dict.fromkeys(tops))}
        run = {str(place): _run(one) for one, place in places.items()}
        grades = self._judgements[query.id]
        found = measure(run, dict.fromkeys(run, grades)).per_query
        values = np.array([found[str(place)][self._measured] for place in range(len(places))], dtype=np.float64)
        which = np.array([places[one] for one in tops], dtype=np.int32)
        self.queries.append(query.id)
        self._values.append(values[which])
        self._tops.append((tuple(places), which))

    def values(self) -> NDArray[np.float64]:
        """Return the values of shape [settings, queries]."""
        return np.stack(self._values, axis=1)

    def rankings(self, setting: int) -> dict[str, tuple[str, ...]]:
        """Return the first documents of a setting's answers, by query id; as many as the measure looks at."""
        return {
            query: distinct[which[setting]] for query, (distinct, which) in zip(self.queries, self._tops, strict=True)
        }


def tops_of(
    grid: Grid,
    firsts: Mapping[FirstStageSetting, Sequence[Place]],
    read: Mapping[float, Read],
    policy: Rerank | None,
    own: str | None,
    size: int,
) -> list[tuple[str, ...]]:
    """Return the first `size` documents of each setting's answer to one query, in the grid's order.

    `firsts` has the first stage's rankings, `read` what the reranker says of their heads, by `collection_idf`.
    """
    tops: list[tuple[str, ...]] = []
    policies = [None if one is None or policy is None else policy_of(policy, one) for one in grid.reranks]
    for first in grid.firsts:
        ranking = firsts[first]
        shared = len(ranking) - len({name for (name, _, _), _ in ranking})
        seen = size + shared + 1
        heads: dict[int, Reading] = {}
        for one in policies:
            if one is None:
                tops.append(top(ranking, own, size))
                continue
            head = heads.get(one.depth)
            if head is None:
                head = heads[one.depth] = reading(ranking, read[first.collection_idf], one.depth)
            # What lies deeper can't be seen, and most of the time would go into reordering it.
            tops.append(top(reranked(ranking[: max(one.depth, seen)], head, one), own, size))
    return tops


def _run(names: Sequence[str]) -> list[Ranked]:
    return [Ranked(name, float(-rank)) for rank, name in enumerate(names)]
