"""Peak memory of `sidecar reconcile`, a process of its own, over a small index and over a large one."""

from __future__ import annotations

import asyncio
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack

from benchmarks.bench import Bench, Found
from benchmarks.cluster import cluster_url
from benchmarks.errors import BenchmarkFailed
from benchmarks.measures.memory import MEBIBYTE, memory_of
from benchmarks.results import Measured
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.domain import ModelInfo
from sidecar.engine import BulkAction, Engine

__all__ = ["measure"]

SMALLER = 25
"""The small index has so many times fewer documents: 2,000 beside 50,000."""

WRITTEN_AT_ONCE = 1_000
LOOK_SECONDS = 0.05


async def measure(bench: Bench) -> Found:
    """Fill an index with short texts and no vectors, reconcile it, and read the process's high-water mark.

    Short texts, because documents are counted here: what is kept per document would show, however short it is.
    """
    peaks: list[int] = []
    async with AsyncExitStack() as stack:
        url = stack.enter_context(cluster_url(bench))
        engine = await stack.enter_async_context(await Engine.connect(url, timeout=60.0))
        process = stack.enter_context(bench.sidecar(bench.sparse))
        client = await stack.enter_async_context(AsyncSidecarClient(process.target, timeout=None))
        chosen = pick_encoder(await client.models(), bench.sparse.manifest.name)
        for count in (max(1, bench.sizes.reconciled // SMALLER), bench.sizes.reconciled):
            name = f"sidecar-bench-{uuid.uuid4().hex[:8]}"
            bench.say(f"reconciling {count} documents")
            try:
                await _fill(bench, engine, name, chosen, count)
                peaks.append(await _reconcile(url, name, process.target))
                await engine.refresh(name)
                found = await engine.count(name, {"exists": {"field": "splade_hash"}})
            finally:
                await engine.delete_index(name, missing_ok=True)
            if found != count:
                raise BenchmarkFailed(f"{found} of {count} documents were reconciled.")
            bench.figures[f"backfill.{count} documents MiB"] = peaks[-1] / MEBIBYTE
    return {"backfill.memory": Measured(peaks[1] / peaks[0], 0.0)}


async def _fill(bench: Bench, engine: Engine, name: str, model: ModelInfo, count: int) -> None:
    await set_up(engine, IndexSpec(name, model, source_fields=("text",)))
    queries = bench.texts.queries
    for start in range(0, count, WRITTEN_AT_ONCE):
        places = range(start, min(count, start + WRITTEN_AT_ONCE))
        await engine.bulk(
            [BulkAction(name, str(place), {"text": f"{queries[place % len(queries)]} {place}"}) for place in places]
        )
    await engine.refresh(name)


async def _reconcile(url: str, name: str, target: str) -> int:
    """Run the command to its end; return its peak resident memory in bytes. Raises BenchmarkFailed."""
    command = ["-m", "sidecar", "reconcile", "--index", name, "--engine", url, "--sidecar", target, "--json"]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=PIPE)
    done = asyncio.create_task(process.communicate())
    peak = 0
    while not done.done():
        peak = max(peak, _peak(process))
        await asyncio.wait({done}, timeout=LOOK_SECONDS)
    _, complaint = await done
    if process.returncode:
        raise BenchmarkFailed(f"sidecar reconcile ended with {process.returncode}: {complaint.decode()[-400:]}")
    return peak


def _peak(process: Process) -> int:
    try:
        return memory_of(process.pid, "VmHWM")
    except (OSError, StopIteration):
        # Gone between the look before and this one.
        return 0
