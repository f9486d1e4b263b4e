"""A setting: the values of a profile that are tuned, each along an axis of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sidecar.search import Lexical, LinearFusion, Profile, ReciprocalRankFusion

__all__ = ["DEPTH", "AxisValue", "FirstStageSetting", "RerankSetting", "Setting", "apart", "setting_of", "tuned"]

AxisValue: TypeAlias = str | float | int

FUSION, SHARE, IDF, RERANK_SHARE, DEPTH = "fusion", "sparse share", "collection_idf", "rerank share", "rerank depth"
"""What is tuned, by the names that reports and tables have for it."""

DEEPEST = 1_000.0
"""Of a profile's rerank depth: distances along all axes are at most 1."""


@dataclass(frozen=True, slots=True)
class FirstStageSetting:
    """What decides a first-stage ranking. Weights as in a profile; those of a retriever that it lacks are 1."""

    fusion: LinearFusion | ReciprocalRankFusion
    lexical: float
    sparse: float
    collection_idf: float

    @property
    def share(self) -> float:
        """The sparse retriever's share of the fusion, rounded: .3 and .7 of weights are .7 as well as 3 and 7."""
        return round(self.sparse / (self.lexical + self.sparse), 6)


@dataclass(frozen=True, slots=True)
class RerankSetting:
    """How many documents are reranked, and the reranker's share of their new order."""

    depth: int
    weight: float


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of what is searched. `rerank` None: the profile does not rerank."""

    first: FirstStageSetting
    rerank: RerankSetting | None

    @property
    def cost(self) -> int:
        """Documents reranked per query: what a setting costs, all else being the same."""
        return 0 if self.rerank is None else self.rerank.depth

    def axes(self) -> dict[str, AxisValue]:
        """Return the value along each axis; what the profile does not have is left out only of the second stage."""
        fusion = self.first.fusion
        label = str(fusion.normalization) if isinstance(fusion, LinearFusion) else f"rrf {fusion.rank_constant}"
        found: dict[str, AxisValue] = {FUSION: label, SHARE: self.first.share, IDF: self.first.collection_idf}
        if self.rerank is not None:
            found |= {RERANK_SHARE: self.rerank.weight, DEPTH: self.rerank.depth}
        return found


def setting_of(profile: Profile) -> Setting:
    """Return the setting that a profile has, its own values untouched."""
    lexical, sparse, rerank = profile.lexical, profile.sparse, profile.rerank
    return Setting(
        FirstStageSetting(
            fusion=profile.fusion,
            lexical=1.0 if lexical is None else lexical.weight,
            sparse=1.0 if sparse is None else sparse.weight,
            collection_idf=0.0 if sparse is None else sparse.collection_idf,
        ),
        None if rerank is None else RerankSetting(rerank.depth, rerank.weight),
    )


def tuned(profile: Profile, setting: Setting, name: str) -> Profile:
    """Return the profile with the setting's values and another name; all that is not tuned stays."""
    first = setting.first
    retrievers = [
        one.model_dump() | {"weight": first.lexical}
        if isinstance(one, Lexical)
        else one.model_dump() | {"weight": first.sparse, "collection_idf": first.collection_idf}
        for one in profile.retrievers
    ]
    rerank = None
    if profile.rerank is not None and setting.rerank is not None:
        rerank = profile.rerank.model_dump() | {"depth": setting.rerank.depth, "weight": setting.rerank.weight}
    values = profile.model_dump()
    values |= {"name": name, "retrievers": retrievers, "fusion": first.fusion.model_dump(), "rerank": rerank}
    # Not model_copy, which checks nothing.
    return Profile.parse(values, called="The tuned profile")


def apart(start: Setting, other: Setting) -> tuple[int, float]:
    """Return along how many axes two settings differ, and how far along those that have numbers."""
    here, there = start.axes(), other.axes()
    changed = [axis for axis in here if here[axis] != there[axis]]
    return len(changed), sum(_distance(axis, here[axis], there[axis]) for axis in changed)


def _distance(axis: str, here: AxisValue, there: AxisValue) -> float:
    if isinstance(here, str) or isinstance(there, str):
        return 0.0
    return abs(here - there) / (DEEPEST if axis == DEPTH else 1.0)
