"""Compares an exported graph with the checkpoint itself, run by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding

from sidecar.domain import ModelKind
from sidecar.export.check_texts import CHECK_QUERIES, CHECK_TEXTS
from sidecar.export.checkpoint.reading import Checkpoint
from sidecar.export.options import CheckResult, ExportOptions
from sidecar.export.recipe import Recipe
from sidecar.export.reference import reference_outputs

__all__ = ["Sample", "compare", "cut", "make_samples", "open_session"]

BATCH = 8
"""Texts per run of the graph, longest beside shortest: padding is part of what is checked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One tokenised text or pair, and what the checkpoint gives for it: weights, weights per token, or one logit."""

    ids: tuple[int, ...]
    types: tuple[int, ...]
    expected: NDArray[np.float32]


def make_samples(checkpoint: Checkpoint, recipe: Recipe, options: ExportOptions) -> list[Sample]:
    """Tokenise the check texts and run the checkpoint on each of them alone, without padding."""
    texts = (*CHECK_TEXTS, *options.check_texts)
    if recipe.kind is ModelKind.CROSS_ENCODER:
        pairs = [(query, text) for query in CHECK_QUERIES for text in texts]
        encodings = checkpoint.tokenizer.encode_batch(pairs)
    else:
        # The longest text the model reads, whatever its limit is.
        long = " ".join(CHECK_TEXTS * (1 + recipe.max_tokens // 200))
        encodings = checkpoint.tokenizer.encode_batch([*texts, long])
    texts_cut = [cut(encoding, recipe.max_tokens) for encoding in encodings]
    expected = reference_outputs(checkpoint, recipe, texts_cut)
    return [Sample(ids, types, output) for (ids, types), output in zip(texts_cut, expected, strict=True)]


def compare(graph: Path, samples: Sequence[Sample], recipe: Recipe) -> CheckResult:
    """Run the graph over the samples in padded batches and report how far it is from them."""
    session = open_session(graph)
    given: list[NDArray[np.float32]] = []
    for start in range(0, len(samples), BATCH):
        given.extend(_run(session, samples[start : start + BATCH]))
    # Not max() and min(): those pass over a NaN that does not come first.
    difference = float(
        np.max([np.abs(output - sample.expected).max() for output, sample in zip(given, samples, strict=True)])
    )
    largest = float(np.max([np.abs(sample.expected).max() for sample in samples]))
    if recipe.kind is ModelKind.CROSS_ENCODER:
        correlation = _spearman(np.concatenate(given), np.concatenate([sample.expected for sample in samples]))
        return CheckResult(difference, largest, rank_correlation=correlation, texts=len(samples))
    cosine = float(np.min([_cosine(output, sample.expected) for output, sample in zip(given, samples, strict=True)]))
    return CheckResult(difference, largest, cosine=cosine, texts=len(samples))


def cut(encoding: Encoding, length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a text's token ids and token types, at most `length` of them."""
    ids, types = encoding.ids, encoding.type_ids
    if len(ids) > length:
        # Keeps the closing special token, as truncation does.
        ids, types = [*ids[: length - 1], ids[-1]], [*types[: length - 1], types[-1]]
    return tuple(ids), tuple(types)


def open_session(graph: Path) -> onnxruntime.InferenceSession:
    """Open a graph for a few runs: on the CPU, without keeping buffers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, samples: Sequence[Sample]) -> list[NDArray[np.float32]]:
    length = max(len(sample.ids) for sample in samples)
    feeds = {name.name: np.zeros((len(samples), length), dtype=np.int64) for name in session.get_inputs()}
    for row, sample in enumerate(samples):
        feeds["input_ids"][row, : len(sample.ids)] = sample.ids
        feeds["attention_mask"][row, : len(sample.ids)] = 1
        if "token_type_ids" in feeds:
            feeds["token_type_ids"][row, : len(sample.ids)] = sample.types
    output = np.asarray(session.run(None, feeds)[0], dtype=np.float32)
    return [row[: sample.expected.size] for row, sample in zip(output, samples, strict=True)]


def _cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    if norms == 0.0:
        return 1.0 if not left.any() and not right.any() else 0.0
    return float(left @ right) / norms


def _spearman(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Spearman's rank correlation; ties, which float32 logits practically never have, are broken by position."""
    ranks = np.argsort(np.argsort(left, kind="stable")), np.argsort(np.argsort(right, kind="stable"))
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
