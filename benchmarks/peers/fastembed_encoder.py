"""fastembed's SPLADE: its class for such models, on a folder of ours instead of a download."""

from __future__ import annotations

from collections.abc import Sequence

from fastembed import SparseTextEmbedding

from benchmarks.peers.base import Encoder, Options

__all__ = ["FastembedEncoder"]

DESCRIBED = "prithivida/Splade_PP_en_v1"
"""The model whose description fits ours: BERT's vocabulary, masked-LM logits in `model.onnx`."""


class FastembedEncoder(Encoder):
    packages = ("fastembed", "onnxruntime")

    def __init__(self, options: Options) -> None:
        self._model = SparseTextEmbedding(
            DESCRIBED, threads=options.threads, cuda=False, specific_model_path=options.folder
        )
        self._batch = options.batch

    def encode(self, texts: Sequence[str]) -> int:
        return sum(len(vector.indices) for vector in self._model.embed(list(texts), batch_size=self._batch))
