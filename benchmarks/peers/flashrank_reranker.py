"""FlashRank on the sidecar's own cross-encoder graph, under the name of a model it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flashrank import Ranker, RerankRequest

from benchmarks.peers.base import Options, Reranker

__all__ = ["FlashRankReranker"]


class FlashRankReranker(Reranker):
    """It knows no threads: onnxruntime takes one per core. The folder's own name is the model's."""

    packages = ("FlashRank", "onnxruntime")

    def __init__(self, options: Options) -> None:
        folder = Path(options.folder)
        self._ranker = Ranker(folder.name, cache_dir=str(folder.parent), max_length=options.max_tokens)

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        # It sorts the passages it is given, and adds a score to each.
        passages = [{"id": number, "text": document} for number, document in enumerate(documents)]
        ranked = self._ranker.rerank(RerankRequest(query=query, passages=passages))
        scores = {int(entry["id"]): float(entry["score"]) for entry in ranked}
        return [scores[number] for number in range(len(documents))]
