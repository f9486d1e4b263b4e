"""What schedulers and caches are at, asked for at every scrape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar.inference import CacheFigures, SchedulerFigures
from sidecar.server.metrics.registry import REGISTRY

__all__ = ["Figures", "watch"]


@runtime_checkable
class Figures(Protocol):
    """Whoever can say what each model's scheduler and caches are at: the inference service."""

    def figures(self) -> Mapping[str, SchedulerFigures]:
        """Return the schedulers' figures by model."""
        ...

    def cache_figures(self) -> Mapping[str, Mapping[str, CacheFigures]]:
        """Return the caches' figures by model and cache."""
        ...


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
