"""Strategies that make one ranking of several, chosen by `method`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from sidecar.search.fusion.linear import LinearFusion
from sidecar.search.fusion.reciprocal_rank import ReciprocalRankFusion
from sidecar.search.fusion.scored import FusionStrategy, Scored

__all__ = ["Fusion", "FusionStrategy", "LinearFusion", "ReciprocalRankFusion", "Scored"]


def _with_method(settings: object) -> object:
    # A discriminator knows nothing of its field's default.
    return {"method": "linear", **settings} if isinstance(settings, Mapping) else settings


Fusion: TypeAlias = Annotated[
    LinearFusion | ReciprocalRankFusion, Field(discriminator="method"), BeforeValidator(_with_method)
]
"""A strategy as it stands in a profile: the settings are the strategy."""
