"""Bodies of the searching routes, in and out."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from sidecar.search import Matching
from sidecar.search.text import MAX_RESULT_WINDOW
from sidecar.server.http.schemas import Body

__all__ = ["AugmentAnswer", "AugmentBody", "BodySearchAnswer", "SearchAnswer", "SearchBody"]

DEFAULT_PROFILE = "hybrid+rerank"

MAX_SHOWN = 256

Clause = dict[str, object]

Shown = Annotated[StrictStr, Field(min_length=1, max_length=512, pattern=r"^[^*]*(\*[^*]*){0,3}$")]
"""A field's path; with few wildcards, since each multiplies what has to be tried."""

Preference = Annotated[StrictStr, Field(min_length=1, max_length=256, pattern=r"^[^_\s]")]
"""A session's id or the like; those that begin with _ pick shards and nodes, which is not for callers."""

OF_PREFERENCE = "The same copies of the shards answer all searches with the same one; a session's id, for instance."


class SearchBody(Body):
    """One question."""

    index: StrictStr = Field(description="Index or alias; one that the operator lists.")
    text: StrictStr = Field(description="What is searched for.")
    size: StrictInt = Field(default=10, ge=1, le=MAX_RESULT_WINDOW, description="How many hits.")
    from_: StrictInt = Field(
        default=0, alias="from", ge=0, le=MAX_RESULT_WINDOW, description="How many hits are skipped."
    )
    filter: Clause | list[Clause] | None = Field(
        default=None, description="Query clauses, all of which hits must match; they do not score."
    )
    profile: StrictStr = Field(default=DEFAULT_PROFILE, description="Built-in, or of the operator's folder.")
    explain: StrictBool = Field(default=False, description="Fill each hit's `why`; costs one more request.")
    passages: StrictBool = Field(default=False, description="Fill each hit's `passage`, where the index has passages.")
    preference: Preference | None = Field(default=None, description=OF_PREFERENCE)
    show: list[Shown] | None = Field(
        default=None,
        max_length=MAX_SHOWN,
        description="Paths of the fields that `source` shows; * stands for any characters. Absent: all.",
    )


class AugmentBody(Body):
    """An application's own `_search` body."""

    index: StrictStr = Field(description="Index or alias; one that the operator lists.")
    body: Clause = Field(description="As the cluster's _search takes it.")
    text: StrictStr | None = Field(
        default=None, description="What the user typed, where the body's clauses leave that open."
    )
    profile: StrictStr = Field(default=DEFAULT_PROFILE, description="Built-in, or of the operator's folder.")
    matching: Matching = Field(
        default=Matching.EXTEND, description="`own` finds what the body found before, in another order."
    )
    preference: Preference | None = Field(default=None, description=OF_PREFERENCE)


class ContributionAnswer(Body):
    """One term's share of a retriever's score."""

    retriever: str
    term: str
    value: float
    field: str | None = Field(description="Where a word was found; null for a term of a vector.")


class PassageAnswer(Body):
    """The part of a long document that was scored."""

    text: str
    start: int = Field(description="First character of it in the document's text.")
    score: float


class HitAnswer(Body):
    """A document; a score is null where that stage did not see it, and there is no one "score"."""

    id: str
    rank: int = Field(description="From 1, over all pages.")
    source: dict[str, object]
    index: str = Field(description="The concrete index that it lies in.")
    first_stage_score: float | None
    lexical_score: float | None
    sparse_score: float | None
    rerank_score: float | None
    why: list[ContributionAnswer] = Field(description="Only with `explain`.")
    passage: PassageAnswer | None = Field(description="Only with `passages`.")
    routing: str | None


class StageTimingsAnswer(Body):
    """Milliseconds per stage; 0 where a stage did not run."""

    encode_ms: float
    retrieve_ms: float
    rerank_ms: float
    explain_ms: float
    total_ms: float
    passages_ms: float
    feedback_ms: float


class SearchAnswer(Body):
    """Hits by rank."""

    hits: list[HitAnswer]
    total: int | None = Field(description="Null unless the profile says `count_hits`.")
    profile: str
    timings: StageTimingsAnswer
    degraded: str | None = Field(description="Why a stage was left out; null: nothing was.")
    degraded_stage: str | None = Field(description="encode, feedback or rerank.")
    partial: bool = Field(description="Shards were missing or late.")


class AugmentAnswer(Body):
    """A body ready to be sent to the cluster."""

    body: dict[str, object]
    unchanged: str | None = Field(description="Why its query is the one that came in; null: it is augmented.")
    degraded: str | None
    degraded_stage: str | None


class Told(Body):
    """What the sidecar did to a body."""

    unchanged: str | None
    not_reranked: str | None
    degraded: str | None
    degraded_stage: str | None
    timings: StageTimingsAnswer


class BodySearchAnswer(Body):
    """The cluster's own answer; hits in final order, with `_rerank_score` beside `_score`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    hits: dict[str, object]
    splade_sidecar: Told
