"""Interactive calls beside a bulk stream that never lets the sidecar rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

from benchmarks.bench import Bench, Found
from benchmarks.measures.encode import STALL_SECONDS, STREAM_BATCH
from benchmarks.results import Measured, Unmeasured
from benchmarks.timing import percentile
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side

__all__ = ["measure"]

PAUSE_SECONDS = 0.005
"""Between two interactive calls: people type, they don't hammer."""


async def measure(bench: Bench) -> Found:
    """Take turns between a quiet sidecar and a busy one; each round gives a ratio of two p99."""
    queries = bench.texts.queries[: bench.sizes.queries]
    ratios: dict[Side, list[float]] = {Side.QUERY: [], Side.DOCUMENT: []}
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=STALL_SECONDS) as client:
            for number in range(-1, bench.sizes.rounds):
                for side, found in ratios.items():
                    quiet = percentile(await _latencies(client, queries, side), 0.99)
                    async with _bulk(process.target, bench.texts.some(bench.sizes.documents)):
                        busy = percentile(await _latencies(client, queries, side), 0.99)
                    if number >= 0:
                        found.append(busy / quiet)
                        bench.figures[f"interference.{side} quiet p99 ms"] = quiet
                        bench.figures[f"interference.{side} busy p99 ms"] = busy
    if bench.sparse.manifest.query_mode == "neural":
        reason = Unmeasured("The sparse encoder's queries need inference; see interference.inference_p99.")
        return {"interference.p99": reason, "interference.inference_p99": Measured.of(ratios[Side.DOCUMENT])}
    return {
        "interference.p99": Measured.of(ratios[Side.QUERY]),
        "interference.inference_p99": Measured.of(ratios[Side.DOCUMENT]),
    }


async def _latencies(client: AsyncSidecarClient, queries: Sequence[str], side: Side) -> list[float]:
    found: list[float] = []
    for query in queries:
        started = time.perf_counter()
        await client.encode([query], side=side, return_terms=True)
        found.append((time.perf_counter() - started) * 1_000)
        await asyncio.sleep(PAUSE_SECONDS)
    return found


@asynccontextmanager
async def _bulk(target: str, texts: Sequence[str]) -> AsyncIterator[None]:
    """Keep a stream going over a connection of its own until the block ends."""
    busy = asyncio.Event()

    def batches() -> AsyncIterator[Sequence[str]]:
        async def endless() -> AsyncIterator[Sequence[str]]:
            for start in cycle(range(0, len(texts), STREAM_BATCH)):
                yield texts[start : start + STREAM_BATCH]

        return endless()

    async def run() -> None:
        async with AsyncSidecarClient(target, timeout=None) as client:
            async for outcome in client.encode_stream(batches(), stall_timeout=STALL_SECONDS):
                outcome.unwrap()
                busy.set()

    task, answered = asyncio.create_task(run()), asyncio.create_task(busy.wait())
    try:
        await asyncio.wait({task, answered}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield
    finally:
        task.cancel()
        answered.cancel()
        await asyncio.gather(task, answered, return_exceptions=True)
