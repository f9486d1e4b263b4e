"""Where a serving process spends its time, by layer: `python -m benchmarks.profiling`.

py-spy samples every thread of a sidecar that encodes a stream, or answers single queries, and each sample counts for
the layer of its innermost known frame. Threads that wait count for nothing, so a share is one of busy thread time.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.errors import BenchmarkFailed
from benchmarks.measures.encode import stream
from benchmarks.texts import collections_folder, read_texts
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side
from sidecar.evaluation import environment
from sidecar.server.process import SidecarProcess

__all__ = ["LAYERS", "layer_of", "shares"]

TITLE = re.compile(r"[^<>]*py-spy record[^<]*")
"""A picture's title as py-spy writes it."""

LAYERS: Mapping[str, str] = {
    "graph (onnxruntime)": r"onnxruntime",
    "tokenizer": r"sidecar/inference/(tokens|models)\.py|tokenizers/",
    "pooling, floor, pruning": r"sidecar/inference/(vectors|pruning|pooling|lexical_floor|folds|query_encoder)\.py",
    "batches and scheduler": r"sidecar/inference/",
    "protobuf": r"sidecar/contract/|google/protobuf",
    "metrics and logs": r"prometheus_client|structlog|sidecar/server/(metrics|logs)\.py",
    "gRPC": r"sidecar/server/grpc/|grpc/",
    "event loop": r"asyncio/|selectors\.py",
}
"""By name, what a frame's file looks like; the first that fits."""

OTHER = "other"
RATE = 250
"""Samples per second."""

Load = Callable[[AsyncSidecarClient, float], Awaitable[int]]


def layer_of(stack: str) -> str:
    """Return the layer of a folded stack, `outermost (file:line);...;innermost (file:line)`."""
    for frame in reversed(stack.split(";")):
        for name, pattern in LAYERS.items():
            if re.search(pattern, frame):
                return name
    return OTHER


def shares(folded: Iterable[str]) -> dict[str, float]:
    """Return each layer's share of the samples, the largest first; lines are `stack count`."""
    samples: dict[str, int] = {}
    for line in folded:
        stack, _, count = line.rpartition(" ")
        layer = layer_of(stack)
        samples[layer] = samples.get(layer, 0) + int(count)
    total = sum(samples.values())
    return {name: count / total for name, count in sorted(samples.items(), key=lambda one: -one[1])}


def main() -> None:
    """Profile both loads, and write a table and two flame graphs."""
    parser = argparse.ArgumentParser(prog="profiling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load and recording")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/profiles"))
    parser.add_argument("--collections", type=Path, default=None)
    arguments = parser.parse_args()
    texts = read_texts(collections_folder(arguments.collections))

    async def bulk(client: AsyncSidecarClient, until: float) -> int:
        done = 0
        while time.monotonic() < until:
            await stream(client, texts.some(512))
            done += len(texts.some(512))
        return done

    async def queries(client: AsyncSidecarClient, until: float) -> int:
        done = 0
        while time.monotonic() < until:
            await client.encode([texts.queries[done % len(texts.queries)]], side=Side.QUERY, return_terms=True)
            done += 1
        return done

    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = [f"Busy thread time of the serving process by layer; {texts.source}.", environment().processor, ""]
    for name, load, what in (("encode", bulk, "documents"), ("query", queries, "inference-free queries")):
        found, rate = asyncio.run(_profile(load, arguments.seconds, arguments.out / f"{name}.svg"))
        lines.append(f"{name}: {rate:.0f} {what} per second")
        lines.extend(f"  {share:6.1%}  {layer}" for layer, share in found.items())
        lines.append("")
    (arguments.out / "layers.txt").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


async def _profile(load: Load, seconds: float, flames: Path) -> tuple[dict[str, float], float]:
    """Record once for the table and once for the picture: py-spy writes one format a time."""
    with SidecarProcess() as process, tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "folded.txt"
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            await load(client, time.monotonic() + 2.0)
            began = time.monotonic()
            recording = asyncio.create_task(_record(process.pid, "raw", seconds, raw))
            done = await load(client, began + seconds)
            rate = done / (time.monotonic() - began)
            await recording
            recording = asyncio.create_task(_record(process.pid, "flamegraph", seconds, flames))
            await load(client, time.monotonic() + seconds)
            await recording
        # Its title is its command line, with the folders of this machine.
        flames.write_text(TITLE.sub(f"{flames.stem}, py-spy", flames.read_text(encoding="utf-8")), encoding="utf-8")
        return shares(raw.read_text(encoding="utf-8").splitlines()), rate


async def _record(pid: int, form: str, seconds: float, out: Path) -> None:
    command = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if command is None:
        raise BenchmarkFailed("py-spy is missing: install the extra bench.")
    options = ["--rate", str(RATE), "--duration", str(max(1, round(seconds))), "--format", form, "--output", str(out)]
    process = await asyncio.create_subprocess_exec(
        command, "record", "--pid", str(pid), "--nonblocking", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, complaint = await process.communicate()
    if process.returncode:
        raise BenchmarkFailed(f"py-spy could not watch the sidecar: {complaint.decode().strip()[-300:]}")


if __name__ == "__main__":
    main()
