"""What the transport and the batching add to the inference of one short text."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Found
from benchmarks.results import Measured, Unmeasured, medians
from benchmarks.timing import percentile, take_turns
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Item
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer

__all__ = ["measure"]


async def measure(bench: Bench) -> Found:
    """Take turns, round by round, between a bare session in this process and the sidecar over gRPC.

    The bare session has one thread, which is what the sidecar gives a short text, and what is fastest for it. Each of
    the two reads all texts, one after another, before the other's turn: a run of the same graph in another process
    right before a call would leave it cold caches, which no one else's calls find.

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

    async def bare(number: int) -> float:
        seen: list[float] = []
        for text in texts:
            ids = tokenizer.frame(tokenizer.ids(text)[: manifest.max_tokens - tokenizer.single_specials])
            item = Item(ids, 0, buckets.of(len(ids)), len(ids))
            started = time.perf_counter()
            session.run([item])
            seen.append((time.perf_counter() - started) * 1_000)
        return percentile(seen, 0.5)

    with bench.sidecar(bench.sparse) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:

            async def served(number: int) -> float:
                seen: list[float] = []
                for text in texts:
                    started = time.perf_counter()
                    await client.encode([text], side=Side.DOCUMENT)
                    seen.append((time.perf_counter() - started) * 1_000)
                return percentile(seen, 0.5)

            rounds = await take_turns({"bare": bare, "served": served}, bench.sizes.rounds)
    bench.figures.update({f"overhead.{name} p50 ms": value for name, value in medians(rounds).items()})
    added = [with_all - alone for with_all, alone in zip(rounds["served"], rounds["bare"], strict=True)]
    return {"overhead.added_p50": Measured.of(added)}
