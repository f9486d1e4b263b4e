"""Rocchio's relevance feedback, with the best documents of a first pass taken for relevant.

The new query is a mix of the old one and of the mean of relevant documents (Rocchio, Relevance feedback in information
retrieval, 1971; without a negative part, since nobody judged a document irrelevant). Three things come from later work:

- Nobody judged anything: the first documents stand in for relevant ones, and count by their scores, as in relevance
  models (Lavrenko & Croft, Relevance-based language models, SIGIR 2001). `sharpness` says how steeply.
- Both parts have the same sum before they are mixed, and only the heaviest terms are fed back: RM3 (Abdul-Jaleel et
  al., UMass at TREC 2004: novelty and HARD).
- Learned sparse vectors are fed back as bags of words are: Mackie, Chatterjee & Dalton, Generative and pseudo-relevant
  feedback for sparse, dense and learned sparse retrieval, 2023; Anserini's RM3 and Rocchio over SPLADE's impacts.
  That what is fed back counts by its IDF, too: Wang et al., Pseudo-relevance feedback for multiple representation
  dense retrieval, ICTIR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.engine.features import SMALLEST_WEIGHT
from sidecar.search.feedback.strategy import FeedbackDocument

__all__ = ["Rocchio"]


class Rocchio(BaseModel):
    """new = (1 - weight) * query + weight * feedback.

    feedback = the heaviest `terms` of: sum over documents of (score / best score) ** sharpness * document; scaled to
    the sum of the query's weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["rocchio"] = "rocchio"
    documents: int = Field(default=5, ge=1, le=50, description="Hits of the first pass that are fed back.")
    terms: int = Field(default=50, ge=1, le=500, description="Heaviest terms of them that are kept.")
    weight: float = Field(
        default=0.2,
        ge=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="Share of the feedback; the query has the rest. 0: there is no first pass.",
    )
    sharpness: float = Field(
        default=4.0,
        ge=0.0,
        le=64.0,
        allow_inf_nan=False,
        description="0: all documents count alike. The larger, the more does the best one decide.",
    )
    timeout: float = Field(
        default=1.0,
        gt=0.0,
        le=600.0,
        description="Seconds, and never more than half of what is left; then: no feedback.",
    )

    def expanded(
        self, query: Mapping[str, float], documents: Sequence[FeedbackDocument], limit: int
    ) -> dict[str, float]:
        """See `FeedbackStrategy.expanded`. Nothing to feed back, or `weight` 0: the query's own weights."""
        fed = self._kept(self._mean(documents), query, limit) if self.weight > 0.0 else {}
        total = math.fsum(fed.values())
        if not fed or total <= 0.0:
            return _in_order(query)
        scale = self.weight * math.fsum(query.values()) / total
        mixed = {feature: (1.0 - self.weight) * weight for feature, weight in query.items()}
        for feature, weight in fed.items():
            mixed[feature] = mixed.get(feature, 0.0) + scale * weight
        # What is too small for the cluster may not enter; a term of the query may not leave.
        return _in_order(
            {
                feature: max(weight, SMALLEST_WEIGHT)
                for feature, weight in mixed.items()
                if weight >= SMALLEST_WEIGHT or feature in query
            }
        )

    def _mean(self, documents: Sequence[FeedbackDocument]) -> dict[str, float]:
        """The weighted sum, which is the mean but for a factor; exact, so that the order of documents is nothing."""
        best = max((document.score for document in documents), default=0.0)
        shares: dict[str, list[float]] = {}
        for document in documents:
            share = (document.score / best) ** self.sharpness if best > 0.0 else 1.0
            for feature, weight in document.features.items():
                shares.setdefault(feature, []).append(share * weight)
        return {feature: math.fsum(parts) for feature, parts in shares.items()}

    def _kept(self, mean: Mapping[str, float], query: Mapping[str, float], limit: int) -> dict[str, float]:
        """The heaviest terms, the query's among them; no more new ones than there is room for."""
        room = max(0, limit - len(query))
        kept: dict[str, float] = {}
        for feature, weight in list(_in_order(mean).items())[: self.terms]:
            if feature not in query:
                if room == 0:
                    continue
                room -= 1
            kept[feature] = weight
        return kept


def _in_order(weighted: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(weighted.items(), key=lambda one: (-one[1], one[0])))
