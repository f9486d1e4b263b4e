"""What a search asks of a sidecar: the part of `sidecar.client.AsyncSidecarClient` that it uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.domain import EncodeResult, ModelInfo, Pruning, RerankResult, Side, Windows

__all__ = ["Sidecar"]


class Sidecar(Protocol):
    """Encodes queries, scores documents, and says what it serves; `timeout` in seconds."""

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = ...,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult: ...

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = ...,
        timeout: float | None = None,
    ) -> RerankResult: ...

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]: ...
