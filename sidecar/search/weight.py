"""Weights and boosts, as they may stand in a profile."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

__all__ = ["LARGEST_WEIGHT", "Weight"]

LARGEST_WEIGHT = 1_000.0

Weight: TypeAlias = Annotated[float, Field(gt=0.0, le=LARGEST_WEIGHT, allow_inf_nan=False)]
