"""The models of this very process, as a search asks for them: no loopback call, and the lanes that gRPC calls take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sidecar.domain import EncodeResult, Lane, ModelInfo, ModelKind, Pruning, RerankResult, Side, Windows
from sidecar.errors import ModelMissing
from sidecar.inference import InferenceService
from sidecar.server.metrics import Call

__all__ = ["InProcessSidecar"]

METHOD = "search"
"""What metrics of texts and tokens have in the place of a route: these calls came in by none."""

DEFAULT_WINDOWS = Windows()


class InProcessSidecar:
    """`sidecar.search.ports.Sidecar` over the inference service; it opens and closes nothing.

    A search whose profile needs a kind of model of which none is served goes on without that stage: ModelMissing is a
    degradation. A model that is named and not served is the profile's or the index's mistake, and raised as the
    service raises it.
    """

    def __init__(self, service: InferenceService) -> None:
        self._service = service
        self._kinds = frozenset(model.kind for model in service.models())

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> EncodeResult:
        """Encode in the lane `interactive`; raises what `InferenceService.encode` raises, and ModelMissing."""
        self._require(ModelKind.SPARSE_ENCODER)
        result = await self._service.encode(
            texts,
            side=side,
            model=model,
            pruning=pruning,
            windows=windows,
            lane=Lane.INTERACTIVE,
            return_terms=return_terms,
            expected_fingerprint=expected_fingerprint,
            deadline=_deadline(timeout),
        )
        Call(METHOD, Lane.INTERACTIVE).encoded(result, side)
        return result

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        timeout: float | None = None,
    ) -> RerankResult:
        """Score in the lane `rerank`; raises what `InferenceService.rerank` raises, and ModelMissing."""
        self._require(ModelKind.CROSS_ENCODER)
        result = await self._service.rerank(
            query, documents, model=model, windows=windows, lane=Lane.RERANK, deadline=_deadline(timeout)
        )
        Call(METHOD, Lane.RERANK).reranked(result)
        return result

    async def models(self, *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """Return what is served."""
        return self._service.models()

    def _require(self, kind: ModelKind) -> None:
        if kind not in self._kinds:
            raise ModelMissing(f"No {kind} is served here: serve one, or search by a profile that needs none.")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
