"""What a search answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.responses import shards_unread
from sidecar.search.passages import BestPassage

__all__ = ["BodyResult", "Contribution", "SearchHit", "SearchResult", "StageTimings", "raw_hits"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One term's share of a retriever's score, before fusion: `retriever` is `lexical` or `sparse`.

    `field` is where a word was found; None for a term of a vector.
    """

    retriever: str
    term: str
    value: float
    field: str | None = None


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document of the answer. A score is None where that stage did not see the document.

    `index` is the concrete index that it lies in, `routing` the one that it was written with (None: with none): behind
    an alias, and behind several routings, several documents may have the same id. `rank` counts from 1 over all pages.
    `first_stage_score` is the fused score (or the only retriever's); it is not comparable with `rerank_score`, which is
    why there is no one "score". `why` and `passage` are filled on request, and `passage` where the index has passages
    and one of them holds a term of the query.
    """

    id: str
    rank: int
    source: Mapping[str, object]
    index: str = ""
    first_stage_score: float | None = None
    lexical_score: float | None = None
    sparse_score: float | None = None
    rerank_score: float | None = None
    why: tuple[Contribution, ...] = ()
    passage: BestPassage | None = None
    routing: str | None = None


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Milliseconds per stage, as the caller of `search` saw them; 0 where a stage did not run."""

    encode_ms: float = 0.0
    retrieve_ms: float = 0.0
    rerank_ms: float = 0.0
    explain_ms: float = 0.0
    total_ms: float = 0.0
    passages_ms: float = 0.0
    feedback_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one search.

    `degraded` is None, or the reason (as in ErrorInfo.reason: `SIDECAR_UNAVAILABLE`, `DEADLINE_EXCEEDED`, `OVERLOADED`
    …, or `NO_QUERY_TERMS`, `NO_STORED_VECTORS`) why `degraded_stage` (`encode` | `rerank` | `feedback`) was left out;
    of several stages, the first in that order. `total` is None unless the profile
    says `count_hits`; then it is how many documents the retrievers find together, a lower bound where the query has
    more words and terms (about 1,000) than the cluster takes at once. `partial`: the cluster said that shards were
    missing or late.
    """

    hits: tuple[SearchHit, ...]
    total: int | None
    profile: str
    timings: StageTimings = field(default_factory=StageTimings)
    degraded: str | None = None
    degraded_stage: str | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class BodyResult:
    """The cluster's own answer to an augmented body, its hits in final order (`_rerank_score` beside `_score`).

    `unchanged` says why a body was executed as it came; `not_reranked` why the profile's reranking was left out, where
    neither `unchanged` nor `degraded` says it (see `NotReranked`); `degraded` is the same as in `SearchResult`.
    """

    response: JsonObject
    unchanged: str | None = None
    degraded: str | None = None
    degraded_stage: str | None = None
    timings: StageTimings = field(default_factory=StageTimings)
    not_reranked: str | None = None

    @property
    def partial(self) -> bool:
        """Whether the cluster said that shards were missing or late."""
        return self.response.get("timed_out") is True or shards_unread(self.response) > 0


def raw_hits(response: JsonObject) -> list[JsonObject]:
    """Return the hits of a cluster's answer as they came."""
    outer = response.get("hits")
    inner: JsonValue = outer.get("hits") if isinstance(outer, Mapping) else None
    return [hit for hit in inner if isinstance(hit, Mapping)] if isinstance(inner, list) else []
