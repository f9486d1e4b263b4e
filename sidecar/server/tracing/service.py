"""The inference service that tells the current span what came out, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Sequence

from opentelemetry import trace

from sidecar.domain import EncodeResult, Lane, Pruning, RerankResult, Side, Timings, Windows
from sidecar.inference import InferenceService
from sidecar.server.tracing.calls import CALL
from sidecar.server.tracing.spans import CallSpan, Parts
from sidecar.tracing.spans import tracer

__all__ = ["TracedService", "stages"]

DEFAULT_WINDOWS = Windows()


class TracedService(InferenceService):
    """An `InferenceService` within spans; without a current span that is recorded, it is just that."""

    async def encode(
        self,
        texts: Sequence[str],
        *,
        side: Side = Side.DOCUMENT,
        model: str | None = None,
        pruning: Pruning | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.INTERACTIVE,
        return_terms: bool = False,
        expected_fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> EncodeResult:
        """See `InferenceService.encode`."""
        began = time.time_ns()
        result = await super().encode(
            texts,
            side=side,
            model=model,
            pruning=pruning,
            windows=windows,
            lane=lane,
            return_terms=return_terms,
            expected_fingerprint=expected_fingerprint,
            deadline=deadline,
        )
        if trace.get_current_span().is_recording():
            counts = {
                "sidecar.texts": len(result.encodings),
                "sidecar.tokens": sum(encoding.tokens for encoding in result.encodings),
                "sidecar.truncated": sum(encoding.truncated for encoding in result.encodings),
            }
            known = {"sidecar.side": str(side), **_known(result, lane)}
            _answered(known, counts, result.timings, began)
        return result

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        windows: Windows = DEFAULT_WINDOWS,
        lane: Lane = Lane.RERANK,
        expected_fingerprint: str | None = None,
        deadline: float | None = None,
    ) -> RerankResult:
        """See `InferenceService.rerank`."""
        began = time.time_ns()
        result = await super().rerank(
            query,
            documents,
            model=model,
            windows=windows,
            lane=lane,
            expected_fingerprint=expected_fingerprint,
            deadline=deadline,
        )
        if trace.get_current_span().is_recording():
            counts = {
                "sidecar.documents": len(result.results),
                "sidecar.truncated": sum(document.truncated for document in result.results),
            }
            _answered(_known(result, lane), counts, result.timings, began)
        return result


def stages(timings: Timings, began: int) -> list[tuple[str, int, int]]:
    """Return the stages that took time: name, start and end in nanoseconds, within a call that began at `began`.

    None of a call that was tokenised and done: its span says it all, and is the one that has to be cheap.
    Tokenising comes first, then the longest wait of any part of the call; inference ends with the call. Of a call that
    is more than one batch, later parts wait while the first ones run: the last two overlap.
    """
    if not timings.queue_us and not timings.inference_us:
        return []
    tokenized = min(timings.tokenize_us, timings.total_us)
    waited = min(tokenized + timings.queue_us, timings.total_us)
    ran = max(timings.total_us - timings.inference_us, tokenized)
    spans = (("tokenize", 0, tokenized), ("queue", tokenized, waited), ("inference", ran, timings.total_us))
    times = (timings.tokenize_us, timings.queue_us, timings.inference_us)
    return [
        (f"sidecar.{name}", began + start * 1_000, began + end * 1_000)
        for (name, start, end), took in zip(spans, times, strict=True)
        if took
    ]


def _known(result: EncodeResult | RerankResult, lane: Lane) -> dict[str, str]:
    return {"sidecar.model": result.model, "sidecar.fingerprint": result.fingerprint, "sidecar.lane": str(lane)}


def _answered(known: dict[str, str], counts: dict[str, int], timings: Timings, began: int) -> None:
    span, call = trace.get_current_span(), CALL.get()
    if isinstance(call, CallSpan) and call.span is span:
        call.answered(known, counts)
        if call.parts is not Parts.ONE:
            # Thousands of requests may follow in one call, and no collector takes a trace of that size.
            return
    else:
        span.set_attributes({**known, **counts})
    for name, start, end in stages(timings, began):
        tracer().start_span(name, start_time=start).end(end)
