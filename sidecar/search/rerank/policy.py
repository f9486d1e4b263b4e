"""What a profile says about reranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sidecar.domain import WindowPolicy
from sidecar.search.rerank.interpolate import order_of_head

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

    def apply(
        self,
        items: Sequence[Item],
        first_stage: Sequence[float],
        logits: Sequence[float],
        scores: Sequence[float],
    ) -> list[Item]:
        """Return `items` in final order: the reranked head, then the tail as it stood.

        `items` are in first-stage order; the other columns cover its head, one value per document. Order is decided
        by `logits`, since activations saturate; `cut_off` is compared with `scores`, which is what callers see.
        """
        head = len(logits)
        order = order_of_head(first_stage, logits, self.weight)
        if self.cut_off is None:
            return [items[position] for position in order] + list(items[head:])
        return [items[position] for position in order if scores[position] >= self.cut_off]
