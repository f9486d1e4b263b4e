"""sentence-transformers' CrossEncoder, with torch in fp32 and with its ONNX backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sentence_transformers import CrossEncoder

from benchmarks.peers.base import Options, Reranker

__all__ = ["OnnxReranker", "TorchReranker"]


class TorchReranker(Reranker):
    packages: tuple[str, ...] = ("sentence-transformers", "transformers", "torch")

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self._model = self._load(options)
        self._batch = options.batch

    def _load(self, options: Options) -> CrossEncoder:
        model: CrossEncoder = CrossEncoder(options.folder, device="cpu", max_length=options.max_tokens)
        return model

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        pairs = [(query, document) for document in documents]
        return [float(score) for score in self._model.predict(pairs, batch_size=self._batch, show_progress_bar=False)]


class OnnxReranker(TorchReranker):
    """The backend exports the model when it is loaded."""

    packages = (*TorchReranker.packages, "optimum-onnx", "onnxruntime")

    def _load(self, options: Options) -> CrossEncoder:
        from benchmarks.peers.sentence_transformers_encoder import session_options

        model: CrossEncoder = CrossEncoder(
            options.folder,
            device="cpu",
            max_length=options.max_tokens,
            backend="onnx",
            model_kwargs=session_options(options),
        )
        return model
