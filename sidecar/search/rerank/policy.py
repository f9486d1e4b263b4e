"""What a profile says about reranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar.domain import WindowPolicy
from sidecar.search.rerank.early_stop import is_settled
from sidecar.search.rerank.interpolate import order_by_probability, order_of_head

__all__ = ["Rerank"]

Item = TypeVar("Item")


class Rerank(BaseModel):
    """The first `depth` documents are scored by a cross-encoder and reordered; the rest keeps its place below them.

    The two parts are joined by rank, never by score: their scales have nothing to do with each other. The window does
    not depend on the page that is asked for, so that pages never repeat or lose a document.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(default=None, description="Name of the cross-encoder; none: the sidecar's default.")
    depth: int = Field(default=100, ge=1, le=1_000, description="How many documents are reranked.")
    weight: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        description="Share of the rerank score; the first stage has the rest. 1: the reranker alone decides.",
    )
    calibrated: bool = Field(
        default=False,
        description="Mix the first stage with the reranker's probabilities as they are, not scaled over the head.",
    )
    stop_early: int | None = Field(
        default=None,
        ge=1,
        description="Read so many documents at a time, and stop when the page can't change; needs `calibrated`.",
    )
    cut_off: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Documents with a smaller rerank score are left out, and so is all that was not reranked.",
    )
    windows: WindowPolicy = Field(
        default=WindowPolicy.TRUNCATE, description="`slide`: a long document counts by its best window (MaxP)."
    )
    max_windows: int = Field(default=4, ge=1, le=64, description="Windows read per document with `slide`.")
    timeout: float = Field(default=5.0, gt=0.0, le=600.0, description="Seconds; then: the first stage's order.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.stop_early is not None and not self.calibrated:
            raise ValueError("stop_early needs calibrated: true, since scaled scores have no bound before the last one")
        if self.stop_early is not None and self.weight >= 1.0:
            raise ValueError("stop_early needs a weight below 1: an unread document might be the best one otherwise")
        return self

    def is_settled(self, first_stage: Sequence[float], scores: Sequence[float], page: int) -> bool:
        """Return whether the head's first `page` documents are known, `scores` being those of its first documents."""
        if self.stop_early is None:
            return len(scores) >= len(first_stage)
        return is_settled(first_stage, scores, self.weight, page=page, cut_off=self.cut_off)

    def apply(
        self,
        items: Sequence[Item],
        first_stage: Sequence[float],
        logits: Sequence[float],
        scores: Sequence[float],
    ) -> list[Item]:
        """Return `items` in final order: the reranked head, then the tail as it stood.

        `items` are in first-stage order; the other columns cover its head, one value per document. Where reading
        stopped early, `logits` and `scores` cover its first documents, and the others follow as they stood. Order is
        decided by `logits`, since activations saturate, unless the policy is `calibrated`; `cut_off` is compared with
        `scores`, which is what callers see.
        """
        head = len(logits)
        if self.calibrated and self.weight < 1.0:
            order = order_by_probability(first_stage, scores, self.weight)
        else:
            order = order_of_head(first_stage, logits, self.weight)
        if self.cut_off is None:
            return [items[position] for position in order] + list(items[head:])
        return [items[position] for position in order if scores[position] >= self.cut_off]
