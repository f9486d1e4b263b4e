"""Two phases: the query's heavy terms find documents, its light ones only rescore the first of them.

Long posting lists of light terms (of function words, mostly) are then read for a window of documents instead of for all
that hold them. A document that holds only light terms is not found, and one that the heavy terms place behind the
window can't come forward: with a window as large as the number of matching documents the ranking is the exact one.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sidecar.domain import JsonObject, SparseVector

__all__ = ["TwoPhase", "rescore_clause", "split_terms"]

MAX_WINDOW = 10_000
"""OpenSearch's default for `index.max_rescore_window`."""


class TwoPhase(BaseModel):
    """What a profile says about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: float = Field(
        default=0.4,
        gt=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="Terms with less than this share of the heaviest term's weight wait for the second phase.",
    )
    window: int = Field(
        default=50, ge=1, le=MAX_WINDOW, description="Documents per shard that are rescored; never under `candidates`."
    )


def split_terms(vector: SparseVector, ratio: float) -> tuple[SparseVector, SparseVector]:
    """Return the terms that weigh at least `ratio` of the heaviest one, and the others, each in their old order."""
    bound = ratio * max(vector.weights, default=0.0)
    heavy = [place for place, weight in enumerate(vector.weights) if weight >= bound]
    light = [place for place, weight in enumerate(vector.weights) if weight < bound]
    return _picked(vector, heavy), _picked(vector, light)


def rescore_clause(query: JsonObject, window: int) -> JsonObject:
    """Return a search body's `rescore`: `query`'s score is added to that of the first `window` documents of a shard."""
    return {
        "window_size": min(window, MAX_WINDOW),
        "query": {
            "rescore_query": query,
            "query_weight": 1.0,
            "rescore_query_weight": 1.0,
            "score_mode": "total",
        },
    }


def _picked(vector: SparseVector, places: list[int]) -> SparseVector:
    return SparseVector(
        tuple(vector.term_ids[place] for place in places),
        tuple(vector.weights[place] for place in places),
        tuple(vector.terms[place] for place in places) if vector.terms else (),
    )
