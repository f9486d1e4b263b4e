"""Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.search.fusion.scored import Key, Scored, in_order

__all__ = ["ReciprocalRankFusion"]


class ReciprocalRankFusion(BaseModel):
    """score = sum over rankings of weight / (rank_constant + rank), ranks from 1; the rankings' scores are ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["rrf"] = "rrf"
    rank_constant: int = Field(default=60, ge=1, description="Larger: the first ranks count less against the others.")

    def fuse(self, rankings: Sequence[Sequence[Scored[Key]]], weights: Sequence[float]) -> list[Scored[Key]]:
        """See `FusionStrategy.fuse`."""
        shares: dict[Key, list[float]] = {}
        for ranking, weight in zip(rankings, weights, strict=True):
            for rank, document in enumerate(ranking, start=1):
                shares.setdefault(document.id, []).append(weight / (self.rank_constant + rank))
        return in_order(shares, rankings)
