"""What is counted of searches over HTTP; rendered with all other metrics of the process.

Labels are known in advance, as everywhere: profiles by the names that the operator serves, outcomes, and the reasons of
errors and degradations. Nothing a caller sends becomes one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from sidecar.errors import SidecarError, wire_error
from sidecar.search import StageTimings
from sidecar.server.metrics.registry import REGISTRY, SECONDS

__all__ = ["Seen", "observe_search"]

SEARCHES = Counter(
    "sidecar_searches",
    "Searches over HTTP: ok, degraded (the reason says by what) or error.",
    ("profile", "outcome", "reason"),
    registry=REGISTRY,
)
PARTIAL = Counter(
    "sidecar_partial_searches",
    "Searches over HTTP that were answered without some of the cluster's shards.",
    ("profile",),
    registry=REGISTRY,
)
STAGE_SECONDS = Histogram(
    "sidecar_search_stage_duration_seconds",
    "Time of each stage of a search that was answered, and of the whole (total).",
    ("profile", "stage"),
    buckets=SECONDS,
    registry=REGISTRY,
)


class Seen:
    """One search in progress: its profile once it is known to be served, and what came of it."""

    def __init__(self) -> None:
        self.profile = ""
        self.outcome = "ok"
        self.reason = ""

    def answered(self, degraded: str | None, timings: StageTimings | None = None, *, partial: bool = False) -> None:
        """Record an answer, and its stages where they were measured; a stage that did not run has no time."""
        if degraded is not None:
            self.outcome, self.reason = "degraded", degraded
        PARTIAL.labels(self.profile).inc(partial)
        if timings is None:
            return
        for stage, milliseconds in (
            ("encode", timings.encode_ms),
            ("feedback", timings.feedback_ms),
            ("retrieve", timings.retrieve_ms),
            ("rerank", timings.rerank_ms),
            ("passages", timings.passages_ms),
            ("explain", timings.explain_ms),
            ("total", timings.total_ms),
        ):
            if milliseconds:
                STAGE_SECONDS.labels(self.profile, stage).observe(milliseconds / 1e3)

    def failed(self, error: BaseException) -> None:
        """Record that there is no answer."""
        self.outcome = "error"
        if isinstance(error, SidecarError):
            self.reason = wire_error(error).reason
        else:
            self.reason = "CANCELLED" if isinstance(error, asyncio.CancelledError) else "INTERNAL"


@contextmanager
def observe_search() -> Iterator[Seen]:
    """Count one search, whatever comes of it."""
    seen = Seen()
    try:
        yield seen
    except BaseException as error:
        seen.failed(error)
        raise
    finally:
        SEARCHES.labels(seen.profile, seen.outcome, seen.reason).inc()
