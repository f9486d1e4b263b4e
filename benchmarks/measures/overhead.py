"""What the transport and the batching add to the inference of one short text."""

from __future__ import annotations

import asyncio
import time

from benchmarks.bench import Bench, Found
from benchmarks.results import Measured, Unmeasured
from benchmarks.timing import percentile
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Item
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer

__all__ = ["measure"]


async def measure(bench: Bench) -> Found:
    """Take turns, text by text, between a bare session in this process and the sidecar over gRPC.

    The bare session has one thread, which is what the sidecar gives a short text, and what is fastest for it.

    The side is the document's: it is the one that runs the graph for every bundle. Each round gives the difference of
    two medians.
    """
    manifest = bench.sparse.manifest
    if manifest.graph is None:
        return {"overhead.added_p50": Unmeasured("The bundle has no graph.")}
    tokenizer = TextTokenizer(bench.sparse.file("tokenizer.json"), threads=bench.sizes.threads)
    session = OnnxSession(
        bench.sparse.file("model.onnx"),
        manifest.graph,
        name="bare session",
        threads=1,
        pad_id=tokenizer.pad_id,
    )
    buckets = Buckets(manifest.max_tokens)
    texts = bench.texts.queries[: bench.sizes.queries]
    differences: list[float] = []
    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            for number in range(-1, bench.sizes.rounds):
                bare: list[float] = []
                served: list[float] = []
                for text in texts:
                    ids = tokenizer.frame(tokenizer.ids(text)[: manifest.max_tokens - tokenizer.single_specials])
                    item = Item(ids, 0, buckets.of(len(ids)), len(ids))
                    started = time.perf_counter()
                    session.run([item])
                    bare.append((time.perf_counter() - started) * 1_000)
                    # The bare run must not be followed by a call that still finds its threads at work.
                    await asyncio.sleep(0)
                    started = time.perf_counter()
                    await client.encode([text], side=Side.DOCUMENT)
                    served.append((time.perf_counter() - started) * 1_000)
                if number >= 0:
                    differences.append(percentile(served, 0.5) - percentile(bare, 0.5))
                    bench.figures["overhead.bare p50 ms"] = percentile(bare, 0.5)
                    bench.figures["overhead.served p50 ms"] = percentile(served, 0.5)
    return {"overhead.added_p50": Measured.of(differences)}
