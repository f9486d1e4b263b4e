"""What the inputs of a checkpoint's products look like on calibration texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from sidecar.domain import ModelKind
from sidecar.export.checking import cut, open_session
from sidecar.export.checkpoint.reading import Checkpoint
from sidecar.export.graph.building import build_recording_graph
from sidecar.export.graph.rounding import Doubles, InputStatistics
from sidecar.export.options import ExportOptions
from sidecar.export.recipe import Recipe

__all__ = ["input_statistics"]

QUERY_WORDS = 12
"""Of a text that stands for a query where a cross-encoder is calibrated."""

LONGEST = 256
"""Tokens read of a text: more of one text says little more."""


def input_statistics(
    checkpoint: Checkpoint, recipe: Recipe, options: ExportOptions, scratch: Path
) -> tuple[InputStatistics, ...]:
    """Run the float32 graph on `options.calibration` and return the statistics of every product's inputs, in order.

    A cross-encoder reads every text behind its own first words, and behind the next text's. `scratch` is a folder for
    the graph while it is needed.
    """
    builder, names = build_recording_graph(checkpoint, recipe, options.tiles)
    path = scratch / "recording.onnx"
    builder.save(path)
    try:
        session = open_session(path)
        taken = {port.name for port in session.get_inputs()}
        moments: list[Doubles] = []
        largest: list[Doubles] = []
        for encoding in _encodings(checkpoint, recipe, options.calibration):
            ids, types = cut(encoding, min(recipe.max_tokens, LONGEST))
            columns = {"input_ids": ids, "attention_mask": (1,) * len(ids), "token_type_ids": types}
            feeds = {name: np.asarray([columns[name]], dtype=np.int64) for name in taken}
            for number, rows in enumerate(session.run(names, feeds)):
                values = np.asarray(rows, dtype=np.float64)
                if number == len(moments):
                    moments.append(np.zeros((values.shape[1], values.shape[1])))
                    largest.append(np.zeros(values.shape[1]))
                moments[number] += values.T @ values
                np.maximum(largest[number], np.abs(values).max(axis=0), out=largest[number])
    finally:
        for file in scratch.glob("recording.onnx*"):
            file.unlink()
    return tuple(InputStatistics(moment, most) for moment, most in zip(moments, largest, strict=True))


def _encodings(checkpoint: Checkpoint, recipe: Recipe, texts: Sequence[str]) -> list[Encoding]:
    if recipe.kind is not ModelKind.CROSS_ENCODER:
        return list(checkpoint.tokenizer.encode_batch(list(texts)))
    queries = [" ".join(text.split()[:QUERY_WORDS]) for text in texts]
    pairs = [*zip(queries, texts, strict=True), *zip([*queries[1:], queries[0]], texts, strict=True)]
    return list(checkpoint.tokenizer.encode_batch(pairs))
