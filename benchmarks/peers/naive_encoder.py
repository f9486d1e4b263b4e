"""Plain onnxruntime on a naive export: logits out, batches in the order of the texts, pooling in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.peers.base import Encoder, Options

__all__ = ["NaiveEncoder"]


class NaiveEncoder(Encoder):
    packages = ("onnxruntime", "tokenizers", "numpy")

    def __init__(self, options: Options) -> None:
        folder = Path(options.folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(options.max_tokens)
        self._tokenizer.enable_padding()
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), session, providers=["CPUExecutionProvider"]
        )
        self._batch = options.batch

    def encode(self, texts: Sequence[str]) -> int:
        terms = 0
        for start in range(0, len(texts), self._batch):
            encodings = self._tokenizer.encode_batch(list(texts[start : start + self._batch]))
            ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
            mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
            (logits,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            weights = np.log1p(np.maximum(logits, 0.0)) * mask[:, :, None]
            for row in weights.max(axis=1):
                terms += len(row.nonzero()[0])
        return terms
