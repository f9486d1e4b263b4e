"""Documents a second: the sidecar over a gRPC stream, the bare graph, and the peers."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Found
from benchmarks.checkpoints import naive_folder
from benchmarks.results import Measured, Unmeasured, medians, ratio
from benchmarks.timing import take_turns
from benchmarks.workers import Worker
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Windows

__all__ = ["STALL_SECONDS", "measure", "stream", "wanted_peers"]

BARE = "bare-loop"

ROW_OF_PEER = {
    "torch-encoder": "encode.over_torch",
    "st-onnx-encoder": "encode.over_st_onnx",
    "fastembed": "encode.over_fastembed",
    "naive-encoder": "encode.over_naive",
}

STREAM_BATCH = 32

HEAD = Windows()
"""What peers read of a text: as much as the model reads at once."""

STALL_SECONDS = 600.0
"""A busy machine is slow, not gone."""


async def measure(bench: Bench) -> Found:
    """Every contender encodes the same texts once a round; then sidecar and bare loop alone, more of them."""
    texts = bench.texts.some(bench.sizes.documents)
    async with AsyncExitStack() as stack:
        process = stack.enter_context(bench.sidecar(bench.sparse))
        client = await stack.enter_async_context(AsyncSidecarClient(process.target, timeout=None))
        workers, missing = await bench.start(stack, wanted_peers(bench))
        shares: list[float] = []

        async def sidecar(asked: Sequence[str], number: int) -> float:
            busy, started = _busy_seconds(process.admin_url), time.perf_counter()
            terms = await stream(client, asked)
            seconds = time.perf_counter() - started
            shares.append(1.0 - (_busy_seconds(process.admin_url) - busy) / (seconds * bench.sizes.threads))
            bench.figures["encode.sidecar terms per document"] = terms / len(asked)
            return len(asked) / seconds

        contenders: dict[str, Callable[[int], Awaitable[float]]] = {"sidecar": partial(sidecar, texts)}
        for name, worker in workers.items():
            contenders[name] = partial(_peer_round, bench, worker, texts)
        bench.say(f"encoding {len(texts)} documents, {bench.sizes.rounds} rounds, {len(contenders)} contenders")
        rounds = await take_turns(contenders, bench.sizes.rounds, failed=missing)
        found: Found = {}
        if BARE in workers and BARE not in missing:
            many = bench.texts.some(bench.sizes.streamed)
            shares.clear()
            bench.say(f"encoding {len(many)} documents, sidecar and bare loop")
            bare = partial(_peer_round, bench, workers[BARE], many)
            long = await take_turns({"sidecar": partial(sidecar, many), BARE: bare}, bench.sizes.rounds)
            found["encode.of_bare_loop"] = ratio(long["sidecar"], long[BARE])
            found["encode.documents"] = Measured.of(long["sidecar"])
            bench.figures["encode.bare-loop long documents/s"] = medians(long)[BARE]
        else:
            found["encode.of_bare_loop"] = Unmeasured(missing.get(BARE, "the bare loop did not start"))
            found["encode.documents"] = Measured.of(rounds["sidecar"])
        found["encode.python_share"] = Measured.of(shares[1:])
    bench.figures.update({f"encode.{name} documents/s": value for name, value in medians(rounds).items()})
    for name, row in ROW_OF_PEER.items():
        found[row] = Unmeasured(missing[name]) if name in missing else ratio(rounds["sidecar"], rounds[name])
    return found


def wanted_peers(bench: Bench) -> list[tuple[str, Callable[[], Path], int]]:
    """Return every other way of running the sparse encoder: name, model folder, tokens it reads."""
    reads = bench.sparse.manifest.max_tokens

    def checkpoint() -> Path:
        return bench.checkpoint(bench.sparse).folder

    def naive() -> Path:
        return naive_folder(bench.checkpoint(bench.sparse), bench.work)

    return [
        ("bare-loop", lambda: bench.sparse.folder, reads),
        ("torch-encoder", checkpoint, reads),
        ("st-onnx-encoder", checkpoint, reads),
        ("fastembed", naive, reads),
        ("naive-encoder", naive, reads),
    ]


async def stream(client: AsyncSidecarClient, texts: Sequence[str], windows: Windows = HEAD) -> int:
    """Encode the texts over one stream in batches, and return how many terms they have in all."""
    batches = [texts[start : start + STREAM_BATCH] for start in range(0, len(texts), STREAM_BATCH)]
    terms = 0
    async for outcome in client.encode_stream(batches, windows=windows, stall_timeout=STALL_SECONDS):
        terms += sum(len(encoding.vector) for encoding in outcome.unwrap().encodings)
    return terms


async def _peer_round(bench: Bench, worker: Worker, texts: Sequence[str], number: int) -> float:
    answer = await worker.encode(texts)
    if answer.terms:
        bench.figures[f"encode.{worker.name} terms per document"] = answer.terms / len(texts)
    return len(texts) / answer.seconds


def _busy_seconds(admin_url: str) -> float:
    """Return for how long the sidecar's graphs have run since its start, summed over its threads."""
    with urllib.request.urlopen(f"{admin_url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^sidecar_batch_seconds_total\{.*\} (\S+)$", text, re.MULTILINE))
