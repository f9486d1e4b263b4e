"""What both kinds of models share: the bundle and its tokenizer, tokenising off the event loop, warming up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sidecar.bundle import Bundle
from sidecar.domain import ModelInfo, Timings
from sidecar.errors import Cancelled, SidecarError
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Ids, Item, Row, Waits
from sidecar.inference.deadlines import until
from sidecar.inference.scheduler import Runner, Scheduler
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.settings import Settings

__all__ = [
    "Host",
    "Stopwatch",
    "load_session",
    "load_tokenizer",
    "model_info",
    "prepare",
    "tokenise",
    "warm_tokenizer",
    "warm_up",
]

INLINE_BYTES = 2_048
"""Text up to here is tokenised on the event loop: it takes less time than a hop to another thread and back."""

TYPICAL_LENGTH = 128

ARENA_TOKENS = 1_024
"""Models that read more give memory back after each run: attention over one long text needs the square of its length,
and an arena would keep that for good.
"""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Host:
    """What the models of one service share: settings, threads per session, the pool that tokenises."""

    settings: Settings
    threads: int
    pool: ThreadPoolExecutor


def load_tokenizer(bundle: Bundle, host: Host) -> TextTokenizer:
    return TextTokenizer(bundle.file("tokenizer.json"), threads=host.threads)


def load_session(bundle: Bundle, tokenizer: TextTokenizer, host: Host) -> OnnxSession:
    """Create the session of a bundle that has a graph."""
    if bundle.manifest.graph is None:
        raise AssertionError("Only bundles with a graph get a session. This is a bug.")
    return OnnxSession(
        bundle.file("model.onnx"),
        bundle.manifest.graph,
        name=bundle.manifest.name,
        threads=host.threads,
        pad_id=tokenizer.pad_id,
        arena=bundle.manifest.max_tokens <= ARENA_TOKENS,
        providers=host.settings.providers,
    )


def model_info(bundle: Bundle, *, is_default: bool) -> ModelInfo:
    """Describe the bundle's model as callers see it."""
    manifest = bundle.manifest
    return ModelInfo(
        name=manifest.name,
        kind=manifest.kind,
        fingerprint=bundle.fingerprint,
        license=manifest.license,
        max_tokens=manifest.max_tokens,
        vocabulary_size=manifest.vocabulary_size,
        quantization=manifest.quantization.value,
        is_default=is_default,
        base_model=manifest.base_model,
        query_mode=manifest.query_mode.value if manifest.query_mode else None,
        document_pruning=manifest.document_pruning.to_domain() if manifest.document_pruning else None,
    )


def tokenise(tokenizer: TextTokenizer, texts: Sequence[str], left: threading.Event) -> list[Ids]:
    """Return every text's own ids; give up with Cancelled between two pieces once `left` is set."""
    ids: list[Ids] = []
    for chunk in tokenizer.chunks(texts):
        if left.is_set():
            raise Cancelled("The caller left.")
        ids.extend(chunk)
    return ids


async def prepare(
    work: Callable[[threading.Event], Result], *, size: int, host: Host, deadline: float | None
) -> Result:
    """Do work on texts of `size` bytes in all: at once where it is little, else in the pool.

    `work` gets an event that is set when the caller leaves or the deadline passes. Raises DeadlineExceeded.
    """
    left = threading.Event()
    if size <= INLINE_BYTES:
        return work(left)
    try:
        async with until(deadline):
            return await asyncio.get_running_loop().run_in_executor(host.pool, work, left)
    finally:
        left.set()


def warm_up(
    runner: Runner[Row], scheduler: Scheduler[Row], tokenizer: TextTokenizer, *, longest: int, budget: int
) -> None:
    """Run every bucket once, so that no caller meets a cold path, then measure a typical batch.

    Raises what the runner raises, and the error it returns for an item.
    """
    pad_id = tokenizer.pad_id
    buckets = Buckets(longest)
    for length in buckets.lengths:
        _probe(runner, length, 1, pad_id)
    length = buckets.of(min(TYPICAL_LENGTH, longest))
    count = max(1, budget // length)
    started = time.perf_counter()
    _probe(runner, length, count, pad_id)
    scheduler.record(length * count, time.perf_counter() - started)


def warm_tokenizer(tokenizer: TextTokenizer) -> None:
    """Tokenise a few texts at once: the library's threads start with its first batch."""
    tokenizer.ids_of_all([tokenizer.probe] * 4)


def _probe(runner: Callable[[Sequence[Item]], Sequence[Row | SidecarError]], length: int, count: int, pad: int) -> None:
    ids = np.full(length, pad, dtype=np.int32)
    for row in runner([Item(ids, slot=slot, tokens=length, second=length) for slot in range(count)]):
        if isinstance(row, SidecarError):
            raise row


class Stopwatch:
    """Measures one call."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._tokenised = self._started

    def tokenised(self) -> None:
        self._tokenised = time.perf_counter()

    def timings(self, waits: Waits) -> Timings:
        return Timings(
            tokenize_us=_micros(self._tokenised - self._started),
            queue_us=_micros(waits.queue),
            inference_us=_micros(waits.inference),
            total_us=_micros(time.perf_counter() - self._started),
        )


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
