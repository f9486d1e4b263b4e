"""The cluster that is measured: a local node for as long as it takes, or a running one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from benchmarks.bench import Bench
from sidecar.engine import Engine
from sidecar.engine.local import LocalNode

__all__ = ["cluster_url", "connected"]

RUNNING = "SIDECAR_BENCH_ENGINE"
"""URL of a cluster that is already there; without it a local node is started."""


@contextmanager
def cluster_url(bench: Bench) -> Iterator[str]:
    """Give the cluster's address, and have it run for as long as the block does."""
    running = os.environ.get(RUNNING)
    if running:
        yield running
        return
    bench.say("starting OpenSearch")
    with LocalNode(port=0) as node:
        yield node.url


@asynccontextmanager
async def connected(bench: Bench) -> AsyncIterator[Engine]:
    """Connect to the cluster, and note its version."""
    with cluster_url(bench) as url:
        async with await Engine.connect(url, timeout=60.0) as engine:
            bench.versions["cluster"] = f"{engine.info.distribution} {engine.info.version}"
            yield engine
