"""Runs a bundle's graph as plainly as can be: onnxruntime, the bundle's tokenizer, padding at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

TEXTS = (
    "the weather in new york is rainy.",
    "how do i parse command line arguments?",
    "cheese and wine from the market in paris, but no beer: the shop was closed today",
    "zebra",
    "shock wave theory: the flow over a wing, heat and pressure in the boundary layer, 1945 and 2026 (unknownword)",
)


class Graph:
    """A loaded graph with its tokenizer; `run` pads to the longest text, or to `length`."""

    def __init__(self, folder: Path) -> None:
        self.session = open_session(folder / "model.onnx")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.inputs = [given.name for given in self.session.get_inputs()]

    def run(self, texts: Sequence[str | tuple[str, str]], *, length: int | None = None) -> NDArray[np.float32]:
        encodings = self.tokenizer.encode_batch(list(texts))
        longest = max(len(encoding.ids) for encoding in encodings) if length is None else length
        feeds = {name: np.zeros((len(texts), longest), dtype=np.int64) for name in self.inputs}
        for row, encoding in enumerate(encodings):
            size = len(encoding.ids)
            feeds["input_ids"][row, :size] = encoding.ids
            feeds["attention_mask"][row, :size] = 1
            if "token_type_ids" in feeds:
                feeds["token_type_ids"][row, :size] = encoding.type_ids
        return np.asarray(self.session.run(None, feeds)[0])


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
