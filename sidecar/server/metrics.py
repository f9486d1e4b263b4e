"""Every metric of the sidecar, declared once; both edges record through `observe`, the admin port renders.

Conventions: prefix `sidecar_`, seconds as the unit of time, and labels whose values are known in advance: the names of
served models, route templates and RPC names, lanes, sides, and the names of gRPC codes (HTTP answers too are counted
under the gRPC code of their error, so that one alert covers both edges). Nothing a caller sends becomes a label.

Usage:
    with observe("/sidecar.v1.SparseEncoder/Encode", Lane.INTERACTIVE) as call:
        result = await service.encode(texts, side=side)
        call.encoded(result, side)
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar import __version__
from sidecar.domain import EncodeResult, Lane, ModelInfo, ModelKind, RerankResult, Side, Timings
from sidecar.errors import SidecarError, wire_error
from sidecar.inference import CacheFigures, SchedulerFigures
from sidecar.server.tracing.calls import note_failure

__all__ = [
    "CONTENT_TYPE",
    "REGISTRY",
    "Call",
    "Figures",
    "describe_certificates",
    "describe_models",
    "observe",
    "render",
    "watch",
]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns: the Prometheus text format."""

REGISTRY = CollectorRegistry(auto_describe=True)
"""One per process, apart from the library's global one, which other packages of an embedding application may fill."""

# A `_created` gauge beside every counter and histogram would add a third to each scrape, and nobody reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
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
MODEL_INFO = Gauge(
    "sidecar_model_info",
    "1 for every model served.",
    ("model", "kind", "fingerprint", "quantization"),
    registry=REGISTRY,
)
BUILD_INFO = Gauge("sidecar_build_info", "1, labelled with what runs.", ("version", "python"), registry=REGISTRY)
CERTIFICATE_EXPIRY = Gauge(
    "sidecar_tls_certificate_expiration_timestamp_seconds",
    "When a certificate in force expires, in seconds since the epoch.",
    ("certificate",),
    registry=REGISTRY,
)
BUILD_INFO.labels(__version__, platform.python_version()).set(1)

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


@runtime_checkable
class Figures(Protocol):
    """Whoever can say what each model's scheduler and caches are at: the inference service."""

    def figures(self) -> Mapping[str, SchedulerFigures]:
        """Return the schedulers' figures by model."""
        ...

    def cache_figures(self) -> Mapping[str, Mapping[str, CacheFigures]]:
        """Return the caches' figures by model and cache."""
        ...


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


def describe_models(models: Iterable[ModelInfo]) -> None:
    """Publish the served models with their fingerprints, in place of what was published before."""
    MODEL_INFO.clear()
    for model in models:
        MODEL_INFO.labels(model.name, str(model.kind), model.fingerprint, model.quantization).set(1)


def describe_certificates(expiry: Mapping[str, float]) -> None:
    """Publish when each certificate in force expires, in place of what was published before."""
    CERTIFICATE_EXPIRY.clear()
    for certificate, at in expiry.items():
        CERTIFICATE_EXPIRY.labels(certificate).set(at)


class _Schedulers(Collector):
    """Asks at scrape time: gauges set on every change would cost the schedulers more than they tell."""

    def __init__(self) -> None:
        self.source: Figures | None = None

    def describe(self) -> Iterable[Metric]:
        return self._families({})

    def collect(self) -> Iterable[Metric]:
        return self._families({} if self.source is None else self.source.figures())

    @staticmethod
    def _families(figures: Mapping[str, SchedulerFigures]) -> Iterable[Metric]:
        waiting = GaugeMetricFamily(
            "sidecar_queue_tokens", "Padded tokens waiting for inference.", labels=("model", "lane")
        )
        batches = CounterMetricFamily("sidecar_batches", "Micro-batches run.", labels=("model",))
        items = CounterMetricFamily("sidecar_batch_items", "Windows or pairs in those batches.", labels=("model",))
        padded = CounterMetricFamily(
            "sidecar_batch_padded_tokens", "Tokens of those batches, padding included.", labels=("model",)
        )
        busy = CounterMetricFamily(
            "sidecar_batch_seconds", "Time spent in those batches, summed over the threads.", labels=("model",)
        )
        rate = GaugeMetricFamily(
            "sidecar_tokens_per_second", "Recent throughput of inference, all threads together.", labels=("model",)
        )
        for model, figure in figures.items():
            for lane, tokens in figure.waiting_tokens.items():
                waiting.add_metric((model, str(lane)), tokens)
            batches.add_metric((model,), figure.batches)
            items.add_metric((model,), figure.items)
            padded.add_metric((model,), figure.padded_tokens)
            busy.add_metric((model,), figure.busy_seconds)
            rate.add_metric((model,), figure.tokens_per_second)
        return (waiting, batches, items, padded, busy, rate)


class _Caches(Collector):
    """Asks at scrape time, as `_Schedulers` does."""

    def __init__(self) -> None:
        self.source: Figures | None = None

    def describe(self) -> Iterable[Metric]:
        return self._families({})

    def collect(self) -> Iterable[Metric]:
        return self._families({} if self.source is None else self.source.cache_figures())

    @staticmethod
    def _families(figures: Mapping[str, Mapping[str, CacheFigures]]) -> Iterable[Metric]:
        labels = ("model", "cache")
        hits = CounterMetricFamily("sidecar_cache_hits", "Look-ups that found something.", labels=labels)
        misses = CounterMetricFamily("sidecar_cache_misses", "Look-ups that found nothing.", labels=labels)
        used = GaugeMetricFamily(
            "sidecar_cache_used", "What is kept: bytes of documents' tokens, scores of pairs.", labels=labels
        )
        for model, caches in figures.items():
            for cache, figure in caches.items():
                hits.add_metric((model, cache), figure.hits)
                misses.add_metric((model, cache), figure.misses)
                used.add_metric((model, cache), figure.used)
        return (hits, misses, used)


_SCHEDULERS = _Schedulers()
_CACHES = _Caches()
REGISTRY.register(_SCHEDULERS)
REGISTRY.register(_CACHES)


def watch(source: object) -> None:
    """Read schedulers' and caches' figures from `source` at every scrape, if it can tell them; the last one counts."""
    known = source if isinstance(source, Figures) else None
    _SCHEDULERS.source = _CACHES.source = known


def render() -> bytes:
    """Return everything in the Prometheus text format."""
    return generate_latest(REGISTRY)
