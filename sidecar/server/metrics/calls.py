"""What is counted of calls: both edges record through `observe`.

Usage:
    with observe("/sidecar.v1.SparseEncoder/Encode", Lane.INTERACTIVE) as call:
        result = await service.encode(texts, side=side)
        call.encoded(result, side)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from sidecar.domain import EncodeResult, Lane, ModelInfo, ModelKind, RerankResult, Side, Timings
from sidecar.errors import SidecarError, wire_error
from sidecar.server.metrics.registry import REGISTRY, SECONDS
from sidecar.server.tracing.calls import note_failure

__all__ = ["Call", "observe"]

COUNTS = (0, 1, 4, 16, 32, 64, 128, 192, 256, 384, 512, 1_024, 4_096)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096, 16_384)

EARLY_SECONDS, EARLY_SHARE, EARLY_AT_MOST = 0.1, 0.01, 0.5
"""How long before a call's deadline its caller may give it up for that: gRPC sends the time over in two or three
digits, rounded up, and counts from the arrival, so that the caller's own clock rings first. The last two are parts of
the time that was given."""

REQUESTS = Counter("sidecar_requests", "Calls answered.", ("model", "method", "lane", "code"), registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "sidecar_request_duration_seconds",
    "Time from a call's arrival to its answer.",
    ("method", "lane"),
    buckets=SECONDS,
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("sidecar_requests_in_flight", "Calls being worked on.", ("method",), registry=REGISTRY)
TOKENIZE_SECONDS = Histogram(
    "sidecar_tokenize_duration_seconds", "Tokenising, per call.", ("model",), buckets=SECONDS, registry=REGISTRY
)
QUEUE_SECONDS = Histogram(
    "sidecar_queue_duration_seconds",
    "Longest wait of any part of a call before inference.",
    ("model",),
    buckets=SECONDS,
    registry=REGISTRY,
)
INFERENCE_SECONDS = Histogram(
    "sidecar_inference_duration_seconds",
    "Inference, summed over a call's parts.",
    ("model",),
    buckets=SECONDS,
    registry=REGISTRY,
)
TEXTS = Counter("sidecar_texts", "Texts encoded, or documents scored.", ("model", "method"), registry=REGISTRY)
TEXTS_PER_CALL = Histogram(
    "sidecar_texts_per_request", "Texts or documents in one call.", ("model",), buckets=BATCHES, registry=REGISTRY
)
TOKENS = Counter("sidecar_tokens", "Tokens read by encoders, special ones not counted.", ("model",), registry=REGISTRY)
TRUNCATED = Counter(
    "sidecar_truncated_texts", "Texts of which some was not read.", ("model", "method"), registry=REGISTRY
)
TERMS = Histogram(
    "sidecar_terms_per_text",
    "Terms of one encoded text after pruning: a proxy for index size and query cost.",
    ("model", "side"),
    buckets=COUNTS,
    registry=REGISTRY,
)


class Call:
    """One call in progress; tell it what came out, so that the metrics of the answer are recorded.

    Times are `time.monotonic()` seconds; `deadline` is when its caller stops waiting, None as long as nobody knows.
    """

    def __init__(self, method: str, lane: Lane | None) -> None:
        self.method = method
        self.model = ""
        self.deadline: float | None = None
        self.begin = time.monotonic()
        self.lane = "" if lane is None else str(lane)
        self.code = "OK"

    def addressed(self, name: str | None, kind: ModelKind, served: Iterable[ModelInfo]) -> None:
        """Count the call under the served model of that name, or the default of the kind; under none if not served."""
        self.model = next(
            (
                model.name
                for model in served
                if (model.name == name if name else model.is_default and model.kind is kind)
            ),
            "",
        )

    def encoded(self, result: EncodeResult, side: Side) -> None:
        """Record an answer of `InferenceService.encode`."""
        self._answered(result.model, len(result.encodings), result.timings)
        terms = TERMS.labels(result.model, str(side))
        for encoding in result.encodings:
            terms.observe(len(encoding.vector))
        TOKENS.labels(result.model).inc(sum(encoding.tokens for encoding in result.encodings))
        self._truncated(result.model, sum(encoding.truncated for encoding in result.encodings))

    def reranked(self, result: RerankResult) -> None:
        """Record an answer of `InferenceService.rerank`."""
        self._answered(result.model, len(result.results), result.timings)
        self._truncated(result.model, sum(document.truncated for document in result.results))

    def failed(self, error: BaseException) -> None:
        """Set the code the call is counted under; `observe` does it for errors that pass through it."""
        if isinstance(error, SidecarError):
            wire = wire_error(error)
            self.code = wire.code.name
            note_failure(wire.reason)
            return
        if isinstance(error, asyncio.CancelledError):
            # gRPC cancels a call in the same way whether its caller hung up or ran out of time.
            self.code = "DEADLINE_EXCEEDED" if self._is_late() else "CANCELLED"
        else:
            self.code = "INTERNAL"
        note_failure(self.code)

    def _is_late(self) -> bool:
        if self.deadline is None:
            return False
        given = self.deadline - self.begin
        early = min(max(EARLY_SECONDS, EARLY_SHARE * given), EARLY_AT_MOST * given)
        return time.monotonic() >= self.deadline - early

    def _answered(self, model: str, texts: int, timings: Timings) -> None:
        self.model = model
        TEXTS.labels(model, self.method).inc(texts)
        TEXTS_PER_CALL.labels(model).observe(texts)
        TOKENIZE_SECONDS.labels(model).observe(timings.tokenize_us / 1e6)
        QUEUE_SECONDS.labels(model).observe(timings.queue_us / 1e6)
        INFERENCE_SECONDS.labels(model).observe(timings.inference_us / 1e6)

    def _truncated(self, model: str, texts: int) -> None:
        TRUNCATED.labels(model, self.method).inc(texts)


@contextmanager
def observe(method: str, lane: Lane | None = None) -> Iterator[Call]:
    """Count and time one call. `method` is a route's template or an RPC's full name, never what a caller sent."""
    call = Call(method, lane)
    in_flight = IN_FLIGHT.labels(method)
    in_flight.inc()
    begin = time.perf_counter()
    try:
        yield call
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        in_flight.dec()
        REQUEST_SECONDS.labels(method, call.lane).observe(time.perf_counter() - begin)
        REQUESTS.labels(call.model, method, call.lane, call.code).inc()
