"""Interactive calls beside a bulk stream that never lets the sidecar rest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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
    """Take turns between a quiet sidecar and a busy one; each round gives a ratio of two p99.

    A third turn has the cores kept busy by processes that never speak to the sidecar: what any load on the machine
    costs.
    """
    queries = bench.texts.queries[: bench.sizes.queries]
    ratios: dict[Side, list[float]] = {Side.QUERY: [], Side.DOCUMENT: []}
    of_loops: list[float] = []
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=STALL_SECONDS) as client:
            for number in range(-1, bench.sizes.rounds):
                for side, found in ratios.items():
                    quiet = percentile(await _latencies(client, queries, side), 0.99)
                    async with _bulk(process.target, bench.texts.some(bench.sizes.documents)):
                        busy = percentile(await _latencies(client, queries, side), 0.99)
                    if side is Side.QUERY:
                        with _busy_loops(bench.sizes.threads):
                            loops = percentile(await _latencies(client, queries, side), 0.99)
                        if number >= 0:
                            of_loops.append(loops / quiet)
                            bench.figures["interference.query p99 ms beside busy loops"] = loops
                    if number >= 0:
                        found.append(busy / quiet)
                        bench.figures[f"interference.{side} quiet p99 ms"] = quiet
                        bench.figures[f"interference.{side} busy p99 ms"] = busy
    if bench.sparse.manifest.query_mode == "neural":
        reason = Unmeasured("The sparse encoder's queries need inference; see interference.inference_p99.")
        return {
            "interference.p99": reason,
            "interference.busy_loops_p99": reason,
            "interference.inference_p99": Measured.of(ratios[Side.DOCUMENT]),
        }
    return {
        "interference.p99": Measured.of(ratios[Side.QUERY]),
        "interference.busy_loops_p99": Measured.of(of_loops),
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


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    """Keep as many cores busy with loops of the lowest priority."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        for process in processes:
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


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
