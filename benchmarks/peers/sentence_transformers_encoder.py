"""sentence-transformers' SparseEncoder, with torch in fp32 and with its ONNX backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sentence_transformers import SparseEncoder

from benchmarks.peers.base import Encoder, Options

__all__ = ["OnnxEncoder", "TorchEncoder"]


class TorchEncoder(Encoder):
    """A masked-LM folder is enough for it: the SPLADE pooling is its default."""

    packages: tuple[str, ...] = ("sentence-transformers", "transformers", "torch")

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self._model = self._load(options)
        self._model.max_seq_length = options.max_tokens
        self._batch = options.batch

    def _load(self, options: Options) -> SparseEncoder:
        return SparseEncoder(options.folder, device="cpu")

    def encode(self, texts: Sequence[str]) -> int:
        vectors = self._model.encode(
            list(texts), batch_size=self._batch, show_progress_bar=False, convert_to_sparse_tensor=True
        )
        return int(vectors.coalesce().values().shape[0])


class OnnxEncoder(TorchEncoder):
    """The backend exports the model when it is loaded."""

    packages = (*TorchEncoder.packages, "optimum-onnx", "onnxruntime")

    def _load(self, options: Options) -> SparseEncoder:
        return SparseEncoder(options.folder, device="cpu", backend="onnx", model_kwargs=session_options(options))


def session_options(options: Options) -> dict[str, object]:
    """Return what makes optimum run on the CPU with so many threads."""
    import onnxruntime

    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = options.threads
    return {"provider": "CPUExecutionProvider", "session_options": chosen, "export": True}
