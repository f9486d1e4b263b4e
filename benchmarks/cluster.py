"""The cluster that is measured: a local node for as long as it takes, or a running one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.bench import Bench
from sidecar.engine import Engine
from sidecar.engine.local import LocalNode

__all__ = ["connected"]

RUNNING = "SIDECAR_BENCH_ENGINE"
"""URL of a cluster that is already there; without it a local node is started."""


@asynccontextmanager
async def connected(bench: Bench) -> AsyncIterator[Engine]:
    """Connect to the cluster, and note its version."""
    running = os.environ.get(RUNNING)
    if running:
        async with await Engine.connect(running, timeout=60.0) as engine:
            bench.versions["cluster"] = f"{engine.info.distribution} {engine.info.version}"
            yield engine
        return
    bench.say("starting OpenSearch")
    with LocalNode(port=0) as node:
        async with await Engine.connect(node.url, timeout=60.0) as engine:
            bench.versions["cluster"] = f"{engine.info.distribution} {engine.info.version}"
            yield engine
