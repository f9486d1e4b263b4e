"""No peer but the limit: the bundle's own graph in ideal batches on all threads, tokenised beforehand, results thrown
away.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.peers.base import Encoder, Options
from sidecar.bundle import Bundle
from sidecar.inference.buckets import Buckets
from sidecar.inference.calls import Item
from sidecar.inference.sessions import OnnxSession
from sidecar.inference.tokens import TextTokenizer
from sidecar.settings import Settings

__all__ = ["BareLoop"]


class BareLoop(Encoder):
    """Texts by length, batches of the sidecar's own budget of padded tokens: what a scheduler can at best hand on.

    Each thread runs batches of its own, as the sidecar's do: that is faster than every thread on one batch.
    """

    packages = ("onnxruntime",)

    def __init__(self, options: Options) -> None:
        bundle = Bundle.open(Path(options.folder))
        if bundle.manifest.graph is None:
            raise ValueError("this bundle has no graph")
        self._tokenizer = TextTokenizer(bundle.file("tokenizer.json"), threads=options.threads)
        self._session = OnnxSession(
            bundle.file("model.onnx"),
            bundle.manifest.graph,
            name="bare loop",
            threads=1,
            pad_id=self._tokenizer.pad_id,
        )
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="bare-loop")
        self._buckets = Buckets(options.max_tokens)
        self._room = options.max_tokens - self._tokenizer.single_specials
        self._budget = Settings().max_batch_tokens
        self._batches: list[list[Item]] = []

    def prepare(self, texts: Sequence[str]) -> None:
        framed = [self._tokenizer.frame(ids[: self._room]) for ids in self._tokenizer.ids_of_all(texts)]
        items = [Item(ids, slot, self._buckets.of(len(ids)), len(ids)) for slot, ids in enumerate(framed)]
        # Longest first, so that at the end no thread has much to do while the others have nothing.
        items.sort(key=lambda item: -item.tokens)
        self._batches = []
        for item in items:
            batch = self._batches[-1] if self._batches else []
            if not batch or batch[0].tokens != item.tokens or (len(batch) + 1) * item.tokens > self._budget:
                self._batches.append([])
            self._batches[-1].append(item)

    def encode(self, texts: Sequence[str]) -> int:
        for _ in self._pool.map(self._run, self._batches):
            pass
        return 0

    def _run(self, batch: Sequence[Item]) -> None:
        self._session.run(batch)
