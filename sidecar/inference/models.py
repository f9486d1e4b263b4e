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
from sidecar.domain import ModelInfo, ModelKind, Timings
from sidecar.errors import BundleCorrupt, Cancelled, InferenceFailed, NotReady, SidecarError
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Ids, Item, Row, Waits
from sidecar.inference.deadlines import until
from sidecar.inference.scheduler import Scheduler
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.inference.workers import WIDE_TOKENS, Runner, Runners
from sidecar.settings import Settings

__all__ = [
    "Host",
    "Stopwatch",
    "load_runners",
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
"""Models that read more run one batch at a time and give memory back after each: attention over one long text needs the
square of its length, which an arena would keep for good, and which several runs at once would need several times.
"""

WIDE_MODEL_TOKENS = 512
"""Models that read less gain too little by all threads on one text to hold their weights twice."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Host:
    """What the models of one service share: settings, threads per model, the pool that tokenises."""

    settings: Settings
    threads: int
    pool: ThreadPoolExecutor


def load_tokenizer(bundle: Bundle, host: Host) -> TextTokenizer:
    """Load a bundle's tokenizer; raise BundleCorrupt where its special tokens leave a text, or a pair, no room."""
    manifest = bundle.manifest
    tokenizer = TextTokenizer(bundle.file("tokenizer.json"), threads=host.threads)
    if manifest.kind is ModelKind.CROSS_ENCODER:
        room, needed = manifest.max_tokens - tokenizer.pair_specials, 2
    else:
        shortest = min(manifest.max_tokens, manifest.query_max_tokens or manifest.max_tokens)
        room, needed = shortest - tokenizer.single_specials, 1
    if room < needed:
        raise BundleCorrupt(
            f"Bundle {manifest.name}: the special tokens of tokenizer.json take all that max_tokens or query_max_tokens"
            " let the model read."
        )
    return tokenizer


def load_runners(
    bundle: Bundle, tokenizer: TextTokenizer, host: Host, rows: Callable[[OnnxSession], Runner[Row]]
) -> Runners[Row]:
    """Create what runs the batches of a bundle that has a graph; `rows` makes a runner of a session.

    On the CPU, one-thread runs side by side do more than runs on all threads one after another. Elsewhere a session
    keeps the device busy by itself, and graphs whose runs may take much memory run one at a time.
    """
    graph = bundle.manifest.graph
    if graph is None:
        raise AssertionError("Only bundles with a graph have runners. This is a bug.")
    arena = bundle.manifest.max_tokens <= ARENA_TOKENS

    def on(threads: int) -> Runner[Row]:
        return rows(
            OnnxSession(
                bundle.file("model.onnx"),
                graph,
                name=bundle.manifest.name,
                threads=threads,
                pad_id=tokenizer.pad_id,
                arena=arena,
                providers=host.settings.providers,
            )
        )

    side_by_side = host.settings.providers[0] == "cpu" and arena and graph.output_kind != "token_logits"
    if host.threads == 1 or not side_by_side:
        return Runners(on(host.threads))
    narrow = on(1)
    wide = on(host.threads) if bundle.manifest.max_tokens >= WIDE_MODEL_TOKENS else None
    return Runners(narrow, host.threads, wide)


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

    `work` gets an event that is set when the caller leaves or the deadline passes. Raises DeadlineExceeded, and
    NotReady where the pool is shut down before the work was begun.
    """
    left = threading.Event()
    if size <= INLINE_BYTES:
        return work(left)
    try:
        begun = host.pool.submit(work, left)
    except RuntimeError:
        raise NotReady("The sidecar is shutting down.", retry_after=1.0) from None
    try:
        async with until(deadline):
            return await asyncio.wrap_future(begun)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise
        # Nobody left: the pool was shut down, and took what waited in it along.
        raise NotReady("The sidecar is shutting down.", retry_after=1.0) from None
    finally:
        left.set()


def warm_up(
    runners: Runners[Row], scheduler: Scheduler[Row], tokenizer: TextTokenizer, *, longest: int, budget: int
) -> None:
    """Run every bucket once, so that no caller meets a cold path; then full batches on all threads at once.

    The longest texts need the largest buffers for attention, the shortest ones for what is said of each text: both are
    taken before the sidecar is ready. Texts of typical length tell the scheduler how fast the model is. Raises
    InferenceFailed for a graph that does not run on one of them, and the error that a runner returns for an item.
    """
    pad_id = tokenizer.pad_id
    buckets = Buckets(longest)
    for length in buckets.lengths:
        _probe(runners.narrow, length, 1, pad_id)
        if runners.wide is not None and length >= WIDE_TOKENS:
            _probe(runners.wide, length, 1, pad_id)
    typical = buckets.of(min(TYPICAL_LENGTH, longest))
    with ThreadPoolExecutor(runners.workers, thread_name_prefix="warm-up") as pool:
        # The typical length comes last: it is what is measured.
        for length in (buckets.lengths[-1], buckets.lengths[0], typical):
            count = max(1, budget // length)
            started = time.perf_counter()
            probes = [pool.submit(_probe, runners.narrow, length, count, pad_id) for _ in range(runners.workers)]
            for probe in probes:
                probe.result()
            elapsed = time.perf_counter() - started
    scheduler.record(typical * count * runners.workers, elapsed)


def warm_tokenizer(tokenizer: TextTokenizer) -> None:
    """Tokenise a few texts at once: the library's threads start with its first batch."""
    tokenizer.ids_of_all([tokenizer.probe] * 4)


def _probe(runner: Callable[[Sequence[Item]], Sequence[Row | SidecarError]], length: int, count: int, pad: int) -> None:
    ids = np.full(length, pad, dtype=np.int32)
    try:
        rows = runner([Item(ids, slot=slot, tokens=length, second=length) for slot in range(count)])
    except Exception as error:
        raise InferenceFailed(
            f"The graph does not run on {count} x {length} tokens ({type(error).__name__}): does it read as many as the"
            " manifest says, and is there memory for them?"
        ) from error
    for row in rows:
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
