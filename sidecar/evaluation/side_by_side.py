"""Two rankings of the same queries, side by side: how much they share, and which one is better where that is judged."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.domain import Query
from sidecar.errors import EvaluationError
from sidecar.evaluation.files import Judgements, record_id
from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked
from sidecar.search import NO_QUERY_TERMS, SearchResult

__all__ = ["DEPTH", "QueryPair", "SideBySide", "read_queries", "side_by_side"]

DEPTH = 10
"""Hits of each ranking that are compared."""

Search = Callable[[str], Awaitable[SearchResult]]
"""Returns the first DEPTH hits for a text."""


@dataclass(frozen=True, slots=True)
class QueryPair:
    """One query. `overlap` is the share of hits that both have, from 0 to 1; `ndcg` None where nothing is judged."""

    query: Query
    overlap: float
    before: tuple[str, ...]
    after: tuple[str, ...]
    ndcg_before: float | None = None
    ndcg_after: float | None = None

    @property
    def change(self) -> float:
        """What the second ranking is better (> 0) or worse by: in nDCG where judged, else below 0 by what differs."""
        if self.ndcg_before is None or self.ndcg_after is None:
            return self.overlap - 1.0
        return self.ndcg_after - self.ndcg_before


@dataclass(frozen=True, slots=True)
class SideBySide:
    """All queries, in their order. Means are over all of them, those of nDCG over the judged ones."""

    pairs: tuple[QueryPair, ...]

    @property
    def overlap(self) -> float:
        """The mean share of the first DEPTH hits that both rankings have."""
        return sum(pair.overlap for pair in self.pairs) / len(self.pairs)

    @property
    def ndcg(self) -> tuple[float, float] | None:
        """Mean nDCG@10 before and after; None where no query is judged."""
        before = [pair.ndcg_before for pair in self.pairs if pair.ndcg_before is not None]
        after = [pair.ndcg_after for pair in self.pairs if pair.ndcg_after is not None]
        return (sum(before) / len(before), sum(after) / len(after)) if before and after else None

    def regressions(self, count: int) -> tuple[QueryPair, ...]:
        """Return the queries that lost most, worst first: by nDCG where that is judged, else by what differs."""
        judged = self.ndcg is not None
        losing = [pair for pair in self.pairs if pair.change < 0.0 and (pair.ndcg_before is not None) is judged]
        return tuple(sorted(losing, key=lambda pair: pair.change)[:count])


async def side_by_side(
    queries: Sequence[Query], before: Search, after: Search, judgements: Judgements | None = None
) -> SideBySide:
    """Search each query both ways, one after the other.

    Raises EvaluationError where there is no query, none is judged, or a search fell back to words, and what the
    searches raise.
    """
    judged = judgements or {}
    if not queries:
        raise EvaluationError("There is no query to compare.")
    if judgements is not None and not any(query.id in judged for query in queries):
        raise EvaluationError("None of the queries is judged: their ids are not those of the judgements.")
    rankings = [(_ids(await before(query.text)), _ids(await after(query.text))) for query in queries]
    values = [_ndcg(queries, [pair[side] for pair in rankings], judged) for side in (0, 1)]
    return SideBySide(
        tuple(
            QueryPair(query, _overlap(first, second), first, second, values[0].get(query.id), values[1].get(query.id))
            for query, (first, second) in zip(queries, rankings, strict=True)
        )
    )


def read_queries(path: Path) -> tuple[Query, ...]:
    """Read queries: of a `.jsonl` file as BEIR has them (`_id`, `text`), of any other one per line, named by its line.

    Raises EvaluationError with the line that is wrong.
    """
    try:
        # Not splitlines: a text may hold a line separator (U+2028) of its own.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} can't be read: {error}.") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if path.suffix != ".jsonl":
        return tuple(Query(str(number), line) for number, line in numbered)
    found: dict[str, Query] = {}
    for number, line in numbered:
        query = _query(path, number, line)
        if found.setdefault(query.id, query) is not query:
            # Judged by its id, one would have the value of the other.
            raise EvaluationError(f"{path}, line {number}: the query {query.id!r} is there twice.")
    return tuple(found.values())


def _query(path: Path, number: int, line: str) -> Query:
    try:
        found = json.loads(line)
    except ValueError:
        raise EvaluationError(f"{path}, line {number}: this is no JSON.") from None
    name = record_id(found)
    if name is None or not isinstance(found.get("text"), str):
        raise EvaluationError(f'{path}, line {number}: an object with "_id" and "text" is expected.')
    return Query(name, found["text"])


def _ids(result: SearchResult) -> tuple[str, ...]:
    if result.degraded is not None and result.degraded != NO_QUERY_TERMS:
        raise EvaluationError(f"A search fell back to words ({result.degraded}): nothing was compared.")
    return tuple(hit.id for hit in result.hits[:DEPTH])


def _overlap(first: Sequence[str], second: Sequence[str]) -> float:
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else 1.0


def _ndcg(queries: Sequence[Query], rankings: Sequence[Sequence[str]], judgements: Judgements) -> Mapping[str, float]:
    chosen = {query.id: judgements[query.id] for query in queries if query.id in judgements}
    if not chosen:
        return {}
    run = {
        query.id: [Ranked(name, float(-rank)) for rank, name in enumerate(ranking)]
        for query, ranking in zip(queries, rankings, strict=True)
    }
    return {name: values["nDCG@10"] for name, values in measure(run, chosen).per_query.items()}
