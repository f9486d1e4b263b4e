"""Peak resident memory while encoding, each contender alone in a fresh process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.bench import Bench, Found
from benchmarks.errors import BenchmarkFailed
from benchmarks.measures.encode import stream, wanted_peers
from benchmarks.results import Measured, Unmeasured
from sidecar.client import AsyncSidecarClient

__all__ = ["measure", "memory_of"]

PEERS = ("torch-encoder", "st-onnx-encoder", "fastembed")
MEBIBYTE = 2**20


async def measure(bench: Bench) -> Found:
    """Encode the same texts once with each; the peers' default batches would need still more."""
    texts = bench.texts.some(bench.sizes.documents)
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            await stream(client, texts)
        own = memory_of(process.pid, "VmHWM")
    peaks: dict[str, int] = {}
    missing: dict[str, str] = {}
    for wanted in wanted_peers(bench):
        if wanted[0] not in PEERS:
            continue
        async with AsyncExitStack() as stack:
            workers, failed = await bench.start(stack, [wanted])
            missing.update(failed)
            for name, worker in workers.items():
                try:
                    peaks[name] = (await worker.encode(texts)).peak_bytes
                except BenchmarkFailed as error:
                    missing[name] = error.message
    bench.figures.update({f"memory.{name} MiB": round(peak / MEBIBYTE) for name, peak in peaks.items()})
    found: Found = {"memory.sidecar": Measured(own / MEBIBYTE, 0.0)}
    if missing or not peaks:
        reason = Unmeasured(" ".join(missing.values()) or "No peer was measured.")
        return {**found, "memory.of_worst": reason, "memory.of_best": reason}
    return {
        **found,
        "memory.of_worst": Measured(own / max(peaks.values()), 0.0),
        "memory.of_best": Measured(own / min(peaks.values()), 0.0),
    }


def memory_of(pid: int, what: str) -> int:
    """Return a process's `VmRSS` (now) or `VmHWM` (peak) in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what + ":")) * 1024
