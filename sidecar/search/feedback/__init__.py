"""Strategies that make a query of the best documents of a first pass, chosen by `method`."""

from __future__ import annotations

from typing import TypeAlias

from sidecar.search.feedback.rocchio import Rocchio
from sidecar.search.feedback.strategy import FeedbackDocument, FeedbackStrategy

__all__ = ["Feedback", "FeedbackDocument", "FeedbackStrategy", "Rocchio"]

Feedback: TypeAlias = Rocchio
"""A strategy as it stands in a profile: the settings are the strategy. A second one makes a union, as `Fusion` is."""
