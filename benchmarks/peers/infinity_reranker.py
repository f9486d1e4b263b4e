"""infinity's engine with a cross-encoder, in torch: its batching without its HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import torch
from infinity_emb import AsyncEmbeddingEngine, EngineArgs

from benchmarks.peers.base import Options, Reranker

__all__ = ["InfinityReranker"]


class InfinityReranker(Reranker):
    packages = ("infinity-emb", "sentence-transformers", "transformers", "torch")

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self._loop = asyncio.new_event_loop()
        self._engine = AsyncEmbeddingEngine.from_args(
            EngineArgs(
                model_name_or_path=options.folder,
                engine="torch",
                device="cpu",
                batch_size=options.batch,
                bettertransformer=False,
                model_warmup=False,
            )
        )
        self._loop.run_until_complete(self._engine.astart())

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        ranked, _ = self._loop.run_until_complete(
            self._engine.rerank(query=query, docs=list(documents), raw_scores=True)
        )
        scores = {int(entry.index): float(entry.relevance_score) for entry in ranked}
        return [scores[number] for number in range(len(documents))]
