"""Reranking for clusters: they send every hit of a page, also one that lacks the field, and want a score for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.domain import Lane, RankedDocument, RerankResult, Windows
from sidecar.server.http.dialects.common import called, is_blank
from sidecar.server.http.work import Work

__all__ = ["rerank_every"]


async def rerank_every(
    work: Work,
    query: str,
    documents: Sequence[str],
    *,
    lane: Lane = Lane.RERANK,
    model: str | None = None,
    windows: Windows = Windows(),  # noqa: B008 - frozen
    expected_fingerprint: str | None = None,
) -> RerankResult:
    """Score every document, also one without text: such come last, with a score of one less than the lowest.

    Raises what `Work.rerank` raises, but for an empty document.
    """
    filled = [position for position, text in enumerate(documents) if not is_blank(text)]
    names = {f"documents[{sent}]": f"documents[{position}]" for sent, position in enumerate(filled)}
    with called(names):
        result = await work.rerank(
            query,
            [documents[position] for position in filled],
            lane=lane,
            model=model,
            windows=windows,
            expected_fingerprint=expected_fingerprint,
        )
    score = min((one.score for one in result.results), default=1.0) - 1.0
    logit = min((one.logit for one in result.results), default=1.0) - 1.0
    blank = sorted({*range(len(documents))}.difference(filled))
    last = (RankedDocument(position, score, logit, windows=0) for position in blank)
    return replace(result, results=(*(replace(one, index=filled[one.index]) for one in result.results), *last))
