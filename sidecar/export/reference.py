"""The checkpoint itself, run by transformers: what every exported graph is measured against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import Activation, Pooling
from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.reading import Checkpoint, Head
from sidecar.export.recipe import Recipe

if TYPE_CHECKING:
    import torch

__all__ = ["reference_outputs"]


def reference_outputs(
    checkpoint: Checkpoint, recipe: Recipe, texts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
) -> list[NDArray[np.float32]]:
    """Run each text (token ids, token types) alone: weights [vocabulary], weights per token [length], or logits [1].

    Pooling follows the definition: activation of every token's logits first, then the maximum or the sum.
    """
    import torch

    outputs: list[NDArray[np.float32]] = []
    with _quiet(), torch.inference_mode():
        model = _load(checkpoint)
        for ids, types in texts:
            inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones((1, len(ids)), dtype=torch.long)}
            if recipe.token_types:
                inputs["token_type_ids"] = torch.tensor([types])
            outputs.append(_output(model(**inputs), checkpoint, recipe).numpy().astype(np.float32))
    return outputs


def _load(checkpoint: Checkpoint) -> torch.nn.Module:
    import torch
    from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

    loader = {
        Head.MASKED_LM: AutoModelForMaskedLM,
        Head.TOKEN_WEIGHTS: AutoModel,
        Head.SCORE: AutoModelForSequenceClassification,
    }[checkpoint.head]
    try:
        model = loader.from_pretrained(str(checkpoint.transformer), local_files_only=True, dtype=torch.float32)
    except (OSError, RuntimeError, ValueError) as error:
        raise UnsupportedCheckpoint(f"transformers can't load {checkpoint.transformer}: {error}") from error
    assert isinstance(model, torch.nn.Module)
    return model.eval()


def _output(result: object, checkpoint: Checkpoint, recipe: Recipe) -> torch.Tensor:
    import torch

    if recipe.head is Head.TOKEN_WEIGHTS:
        states: torch.Tensor = result.last_hidden_state[0]  # type: ignore[attr-defined]
        weight = torch.from_numpy(checkpoint.weights.need("tok_proj.weight"))
        bias = torch.from_numpy(checkpoint.weights.need("tok_proj.bias"))
        return torch.relu(states @ weight.T + bias)[:, 0]
    logits: torch.Tensor = result.logits[0]  # type: ignore[attr-defined]
    if recipe.head is Head.SCORE:
        return logits
    weights = torch.relu(logits[:, : checkpoint.rows])
    logarithms = {Activation.RELU: 0, Activation.LOG1P_RELU: 1, Activation.LOG1P_LOG1P_RELU: 2}
    for _ in range(logarithms[recipe.activation or Activation.LOG1P_RELU]):
        weights = torch.log1p(weights)
    return weights.sum(dim=0) if recipe.pooling is Pooling.SUM else weights.amax(dim=0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off the user's screen, and leave its settings as they were."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
