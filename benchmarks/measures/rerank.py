"""Reranking passages: the sidecar over gRPC against cross-encoder libraries in their own processes."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Found
from benchmarks.checkpoints import flashrank_folder
from benchmarks.results import Measured, Unmeasured, medians, ratio
from benchmarks.texts import SEED
from benchmarks.timing import take_turns
from benchmarks.workers import Worker
from sidecar.client import AsyncSidecarClient

__all__ = ["measure"]

ROW_OF_PEER = {
    "torch-reranker": "rerank.over_torch",
    "flashrank": "rerank.over_flashrank",
    "st-onnx-reranker": "rerank.over_st_onnx",
    "infinity": "rerank.over_infinity",
}

Question = tuple[str, list[str]]


async def measure(bench: Bench) -> Found:
    """One query with fresh passages a round, the same for every contender; the ratio of each round counts."""
    questions = _questions(bench)
    reads = bench.reranker.manifest.max_tokens

    def checkpoint() -> Path:
        return bench.checkpoint(bench.reranker).folder

    wanted: list[tuple[str, Callable[[], Path], int]] = [
        ("torch-reranker", checkpoint, reads),
        ("flashrank", lambda: flashrank_folder(bench.checkpoint(bench.reranker), bench.work), reads),
        ("st-onnx-reranker", checkpoint, reads),
        ("infinity", checkpoint, reads),
    ]
    wanted = [peer for peer in wanted if bench.wants(ROW_OF_PEER[peer[0]])]
    async with AsyncExitStack() as stack:
        process = stack.enter_context(bench.sidecar(bench.reranker))
        client = await stack.enter_async_context(AsyncSidecarClient(process.target, timeout=None))
        workers, missing = await bench.start(stack, wanted)
        agreement: dict[str, list[float]] = {name: [] for name in workers}
        again: list[float] = []
        scores: dict[int, list[float]] = {}

        async def sidecar(number: int) -> float:
            query, passages = questions[number]
            started = time.perf_counter()
            result = await client.rerank(query, passages)
            seconds = time.perf_counter() - started
            scores[number] = [one.logit for one in sorted(result.results, key=lambda one: one.index)]
            started = time.perf_counter()
            await client.rerank(query, passages)
            again.append(time.perf_counter() - started)
            return seconds * 1_000

        async def peer(worker: Worker, number: int) -> float:
            query, passages = questions[number]
            answer = await worker.rerank(query, passages)
            if number in scores:
                agreement[worker.name].append(_common_head(scores[number], answer.scores))
            return answer.seconds * 1_000

        contenders: dict[str, Callable[[int], Awaitable[float]]] = {"sidecar": sidecar}
        contenders |= {name: partial(peer, worker) for name, worker in workers.items()}
        bench.say(f"reranking {bench.sizes.passages} passages, {bench.sizes.rerank_queries} queries")
        rounds = await take_turns(contenders, bench.sizes.rerank_queries, failed=missing)
    bench.figures.update({f"rerank.{name} p50 ms": value for name, value in medians(rounds).items()})
    for name, shares in agreement.items():
        if shares:
            bench.figures[f"rerank.{name} top 10 in common"] = sum(shares) / len(shares)
    found: Found = {
        "rerank.p50": Measured.of(rounds["sidecar"]),
        "rerank.seen_before": ratio([1_000 * seconds for seconds in again[1:]], rounds["sidecar"]),
    }
    found |= {ROW_OF_PEER[name]: Unmeasured(reason) for name, reason in missing.items()}
    for name in rounds.keys() - {"sidecar"}:
        found[ROW_OF_PEER[name]] = ratio(rounds[name], rounds["sidecar"])
    return found


def _questions(bench: Bench) -> dict[int, Question]:
    """Real queries, each with passages drawn from the collections; -1 is the warm-up."""
    draw = random.Random(SEED)
    documents = bench.texts.documents
    count = min(bench.sizes.passages, len(documents))
    return {
        number: (bench.texts.queries[number + 1], draw.sample(documents, count))
        for number in range(-1, bench.sizes.rerank_queries)
    }


def _common_head(ours: list[float], theirs: tuple[float, ...], size: int = 10) -> float:
    def head(values: list[float] | tuple[float, ...]) -> set[int]:
        return set(sorted(range(len(values)), key=lambda position: -values[position])[:size])

    return len(head(ours) & head(theirs)) / min(size, len(ours))
