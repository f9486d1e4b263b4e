"""Which settings are looked at, for a profile to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from sidecar.errors import EvaluationError
from sidecar.evaluation.tuning.settings import AxisValue, FirstStageSetting, RerankSetting, Setting, setting_of
from sidecar.search import LinearFusion, Normalization, Profile, ReciprocalRankFusion

__all__ = ["Grid", "grid_of"]

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The sparse retriever's of a sum; a share of 0 or 1 would be another profile, with one retriever less to ask."""

RANK_SHARES = (0.3, 0.5, 0.7)
RANK_CONSTANTS = (10, 20, 60)
COLLECTION_IDF = (0.0, 0.4, 0.7, 1.0)
RERANK_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DEPTHS = (10, 20, 30, 50, 100, 200)
"""As far as the profile goes, which knows what its users wait for: no setting costs more than what they have, unless
whoever tunes says how much more it may be."""


@dataclass(frozen=True)
class Grid:
    """Every first stage with every second one; what the profile has itself comes first in both."""

    firsts: tuple[FirstStageSetting, ...]
    reranks: tuple[RerankSetting | None, ...]

    @property
    def start(self) -> Setting:
        """What the profile has."""
        return Setting(self.firsts[0], self.reranks[0])

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """All of them, those of one first stage together; the first one is what the profile has."""
        return tuple(Setting(first, rerank) for first in self.firsts for rerank in self.reranks)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The names of what is tuned: the axes along which there is more than one value."""
        found: dict[str, set[AxisValue]] = {}
        for setting in self.settings:
            for axis, value in setting.axes().items():
                found.setdefault(axis, set()).add(value)
        return tuple(axis for axis, values in found.items() if len(values) > 1)

    @cached_property
    def deepest(self) -> int:
        """The largest rerank depth; 0 where nothing is reranked."""
        return max((one.depth for one in self.reranks if one is not None), default=0)

    @cached_property
    def idf_shares(self) -> tuple[float, ...]:
        """The values of `collection_idf`, each of which needs searches of its own; the profile's comes first."""
        return tuple(dict.fromkeys(first.collection_idf for first in self.firsts))


def grid_of(profile: Profile, *, frequencies: bool, max_depth: int | None = None) -> Grid:
    """Return the grid around a profile. `frequencies`: the index has its own, so that `collection_idf` does something.

    `max_depth`: how many documents a setting may rerank; None: as many as the profile does, which is always tried.
    Raises EvaluationError where there is nothing to tune.
    """
    start = setting_of(profile)
    idf = [start.first.collection_idf]
    if profile.sparse is not None and frequencies:
        idf += COLLECTION_IDF
    firsts = (
        FirstStageSetting(fused.fusion, fused.lexical, fused.sparse, share)
        for share in idf
        for fused in (start.first, *(_fusions() if _is_fused(profile) else ()))
    )
    reranks: Iterable[RerankSetting | None] = (None,)
    if profile.rerank is not None and start.rerank is not None:
        deepest = start.rerank.depth if max_depth is None else max_depth
        depths = [start.rerank.depth, *(depth for depth in DEPTHS if depth < deepest), deepest]
        # A share of 1 leaves nothing that early stop could go by.
        weights = [one for one in (start.rerank.weight, *RERANK_SHARES) if one < 1.0 or not profile.rerank.stop_early]
        reranks = (RerankSetting(depth, weight) for depth in depths for weight in weights)
    grid = Grid(_distinct(firsts), tuple(dict.fromkeys(reranks)))
    if len(grid.settings) == 1:
        raise EvaluationError(
            f"There is nothing to tune in the profile {profile.name}: it has one retriever, no reranking, and no"
            " document frequencies to go by. Begin with hybrid+rerank."
        )
    return grid


def _is_fused(profile: Profile) -> bool:
    """A sum that is left to the cluster can't be computed from two lists, which lack each other's documents."""
    return len(profile.retrievers) > 1 and not profile.summed_in_cluster


def _fusions() -> Iterable[FirstStageSetting]:
    for normalization in (Normalization.MIN_MAX, Normalization.MAX):
        for share in SHARES:
            yield _fused(LinearFusion(normalization=normalization), share)
    for constant in RANK_CONSTANTS:
        for share in RANK_SHARES:
            yield _fused(ReciprocalRankFusion(rank_constant=constant), share)


def _fused(fusion: LinearFusion | ReciprocalRankFusion, share: float) -> FirstStageSetting:
    return FirstStageSetting(fusion, round(1.0 - share, 2), share, 0.0)


def _distinct(firsts: Iterable[FirstStageSetting]) -> tuple[FirstStageSetting, ...]:
    """Return the first of those that mean the same: .3 and .7 of a profile, and .7 of the grid."""
    found: dict[tuple[object, float, float], FirstStageSetting] = {}
    for first in firsts:
        found.setdefault((first.fusion, first.share, first.collection_idf), first)
    return tuple(found.values())
