"""Resident memory over a long time of random lengths and batch sizes."""

from __future__ import annotations

import random
import time

from benchmarks.bench import Bench, Found
from benchmarks.measures.memory import MEBIBYTE, memory_of
from benchmarks.results import Measured, Unmeasured
from benchmarks.texts import SEED
from sidecar.client import AsyncSidecarClient
from sidecar.domain import Side

__all__ = ["measure"]

LARGEST_BATCH = 48
SHORTEST, LONGEST = 3, 6_000
"""Characters of a text."""

PATIENCE_SECONDS = 600.0
"""A busy machine must not end the soak: how long calls take is measured elsewhere."""


async def measure(bench: Bench) -> Found:
    """Encode, rerank and query at random; compare the memory at the end with that after a tenth of the time.

    Three minutes into thirty, every bucket was seen in several batch sizes; what grows after that leaks.
    """
    seconds = bench.sizes.soak_minutes * 60.0
    draw = random.Random(SEED)
    joined = " ".join(bench.texts.documents)
    early = late = 0
    calls = 0
    with bench.sidecar(bench.sparse, bench.reranker, request_timeout=PATIENCE_SECONDS) as process:
        async with AsyncSidecarClient(process.target, timeout=None) as client:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                texts = [_text(draw, joined) for _ in range(draw.randint(1, LARGEST_BATCH))]
                kind = draw.randrange(3)
                if kind == 0:
                    await client.encode(texts, side=Side.DOCUMENT, return_terms=draw.random() < 0.5)
                elif kind == 1:
                    await client.encode(texts, side=Side.QUERY)
                else:
                    await client.rerank(texts[0][:300], texts)
                calls += 1
                late = memory_of(process.pid, "VmRSS")
                if not early and passed >= seconds / 10:
                    early = late
                    bench.say(f"soak: {early / MEBIBYTE:.0f} MiB after {passed:.0f} s")
    bench.figures |= {
        "soak.minutes": bench.sizes.soak_minutes,
        "soak.calls": float(calls),
        "soak.MiB early": early / MEBIBYTE,
        "soak.MiB late": late / MEBIBYTE,
    }
    if not early:
        return {"soak.growth": Unmeasured("The soak was too short for two calls.")}
    return {"soak.growth": Measured(late / early, 0.0)}


def _text(draw: random.Random, joined: str) -> str:
    # Lengths by their logarithm: short texts are as frequent as long ones.
    length = int(SHORTEST * (LONGEST / SHORTEST) ** draw.random())
    start = draw.randrange(max(1, len(joined) - length))
    return "w" + joined[start : start + length]
