"""Inference-free queries, one at a time: inside the server, and over gRPC."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Found
from benchmarks.results import Measured, Unmeasured
from benchmarks.timing import percentile
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side

__all__ = ["measure"]


async def measure(bench: Bench) -> Found:
    """Send real queries through one client; each round gives a percentile."""
    if bench.sparse.manifest.query_mode == "neural":
        reason = Unmeasured("The sparse encoder's queries need inference.")
        return {"query.inside_p50": reason, "query.grpc_p50": reason, "query.grpc_p99": reason}
    queries = bench.texts.queries[: bench.sizes.queries]
    inside: list[float] = []
    middle: list[float] = []
    late: list[float] = []
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            for number in range(-1, bench.sizes.rounds):
                server, wire = await _round(client, queries)
                if number >= 0:
                    inside.append(percentile(server, 0.5))
                    middle.append(percentile(wire, 0.5))
                    late.append(percentile(wire, 0.99))
    return {
        "query.inside_p50": Measured.of(inside),
        "query.grpc_p50": Measured.of(middle),
        "query.grpc_p99": Measured.of(late),
    }


async def _round(client: AsyncSidecarClient, queries: tuple[str, ...]) -> tuple[list[float], list[float]]:
    server: list[float] = []
    wire: list[float] = []
    for query in queries:
        started = time.perf_counter()
        result = await client.encode([query], side=Side.QUERY, return_terms=True)
        wire.append((time.perf_counter() - started) * 1_000)
        server.append(result.timings.total_us / 1_000)
    return server, wire
