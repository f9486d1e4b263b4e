"""What a feedback strategy reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FeedbackDocument", "FeedbackStrategy"]


@dataclass(frozen=True, slots=True)
class FeedbackDocument:
    """A hit of the first pass: its score, and its vector in the query's terms.

    `features` maps a dialect's features to weights, finite and > 0: what the document has of a term, times what a query
    would give that term.
    """

    score: float
    features: Mapping[str, float]


class FeedbackStrategy(Protocol):
    """Makes a new query of the old one and of what it found. Chosen by its `method` in a profile."""

    def expanded(
        self, query: Mapping[str, float], documents: Sequence[FeedbackDocument], limit: int
    ) -> dict[str, float]:
        """Return the new query by feature, in descending order of weight, ties by feature.

        All features of `query` are in it, and others only as long as there are at most `limit` altogether. The result
        does not depend on the order of `documents`.
        """
        ...
