"""Strategies that make one ranking of several, chosen by `method`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from sidecar.search.fusion.linear import LinearFusion
from sidecar.search.fusion.reciprocal_rank import ReciprocalRankFusion
from sidecar.search.fusion.scored import FusionStrategy, Scored

__all__ = ["Fusion", "FusionStrategy", "LinearFusion", "ReciprocalRankFusion", "Scored"]

Fusion: TypeAlias = Annotated[LinearFusion | ReciprocalRankFusion, Field(discriminator="method")]
"""A strategy as it stands in a profile: the settings are the strategy."""
