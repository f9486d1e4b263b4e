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

BESIDE_BARE_LOOP = ("encode.documents", "encode.of_bare_loop", "encode.python_share")

STREAM_BATCH = 32

Peer = tuple[str, Callable[[], Path], int]
"""Name, model folder, tokens it reads."""

HEAD = Windows()
"""What peers read of a text: as much as the model reads at once."""

STALL_SECONDS = 600.0
"""A busy machine is slow, not gone."""


async def measure(bench: Bench) -> Found:
    """Sidecar and bare loop, alone on the machine; then every contender, on fewer texts."""
    async with AsyncExitStack() as stack:
        process = stack.enter_context(bench.sidecar(bench.sparse))
        client = await stack.enter_async_context(AsyncSidecarClient(process.target, timeout=None))
        shares: list[float] = []

        async def sidecar(asked: Sequence[str], number: int) -> float:
            busy, started = _busy_seconds(process.admin_url), time.perf_counter()
            terms = await stream(client, asked)
            seconds = time.perf_counter() - started
            shares.append(1.0 - (_busy_seconds(process.admin_url) - busy) / (seconds * bench.sizes.threads))
            bench.figures["encode.sidecar terms per document"] = terms / len(asked)
            return len(asked) / seconds

        bare, *peers = wanted_peers(bench)
        found: Found = {}
        if any(bench.wants(row) for row in BESIDE_BARE_LOOP):
            found = await _beside_bare_loop(bench, bare, sidecar)
            found["encode.python_share"] = Measured.of(shares[1:])
        peers = [peer for peer in peers if bench.wants(ROW_OF_PEER[peer[0]])]
        if not peers:
            return found
        texts = bench.texts.some(bench.sizes.documents)
        workers, missing = await bench.start(stack, peers)
        contenders = {name: partial(_peer_round, bench, worker, texts) for name, worker in workers.items()}
        bench.say(f"encoding {len(texts)} documents, {bench.sizes.rounds} rounds, {len(contenders) + 1} contenders")
        rounds = await take_turns(
            {"sidecar": partial(sidecar, texts), **contenders}, bench.sizes.rounds, failed=missing
        )
    bench.figures.update({f"encode.{name} documents/s": value for name, value in medians(rounds).items()})
    found |= {ROW_OF_PEER[name]: Unmeasured(reason) for name, reason in missing.items()}
    for name in rounds.keys() - {"sidecar"}:
        found[ROW_OF_PEER[name]] = ratio(rounds["sidecar"], rounds[name])
    return found


async def _beside_bare_loop(
    bench: Bench, wanted: Peer, sidecar: Callable[[Sequence[str], int], Awaitable[float]]
) -> Found:
    """Measure before any other peer is loaded: the two of them, and nothing beside them."""
    texts = bench.texts.some(bench.sizes.streamed)
    async with AsyncExitStack() as stack:
        workers, missing = await bench.start(stack, [wanted])
        bare = {name: partial(_peer_round, bench, worker, texts) for name, worker in workers.items()}
        bench.say(f"encoding {len(texts)} documents, sidecar and bare loop")
        rounds = await take_turns({"sidecar": partial(sidecar, texts), **bare}, bench.sizes.rounds, failed=missing)
    bench.figures.update({f"encode.{name} long documents/s": value for name, value in medians(rounds).items()})
    if BARE in missing:
        of_bare: Measured | Unmeasured = Unmeasured(missing[BARE])
    else:
        of_bare = ratio(rounds["sidecar"], rounds[BARE])
    return {"encode.documents": Measured.of(rounds["sidecar"]), "encode.of_bare_loop": of_bare}


def wanted_peers(bench: Bench) -> list[Peer]:
    """Return every other way of running the sparse encoder, the bare loop first."""
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
