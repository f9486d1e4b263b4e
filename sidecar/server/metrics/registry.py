"""Where the process's metrics are kept, and how they are rendered."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "REGISTRY", "SECONDS", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns: the Prometheus text format."""

REGISTRY = CollectorRegistry(auto_describe=True)
"""One per process, apart from the library's global one, which other packages of an embedding application may fill."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of every histogram of durations."""

# A `_created` gauge beside every counter and histogram would add a third to each scrape, and nobody reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def render() -> bytes:
    """Return everything in the Prometheus text format."""
    return generate_latest(REGISTRY)
