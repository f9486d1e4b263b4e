"""Results made by hand, for shapes that a model would rarely give."""

from __future__ import annotations

from sidecar.domain import RankedDocument, RerankResult

FINGERPRINT = "f" * 64


def rerank_result(*documents: RankedDocument) -> RerankResult:
    return RerankResult(documents, "made-by-hand", FINGERPRINT)
