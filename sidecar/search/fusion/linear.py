"""Weighted sum of normalised scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sidecar.search.fusion.scored import Key, Scored, in_order
from sidecar.search.normalization import Normalization, normalize

__all__ = ["LinearFusion"]


class LinearFusion(BaseModel):
    """score = sum over rankings of weight * normalised score; a ranking that lacks the document adds nothing.

    With `normalization: none` the sum is left to the cluster: one `bool` query whose clauses' scores add up, one
    traversal of the posting lists instead of two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["linear"] = "linear"
    normalization: Normalization = Normalization.MIN_MAX

    def fuse(self, rankings: Sequence[Sequence[Scored[Key]]], weights: Sequence[float]) -> list[Scored[Key]]:
        """See `FusionStrategy.fuse`."""
        shares: dict[Key, list[float]] = {}
        for ranking, weight in zip(rankings, weights, strict=True):
            scaled = normalize([document.score for document in ranking], self.normalization)
            for document, score in zip(ranking, scaled, strict=True):
                shares.setdefault(document.id, []).append(weight * score)
        return in_order(shares, rankings)
