"""Where each family keeps its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.checkpoint.architecture import Family
from sidecar.export.checkpoint.weights import Weights

__all__ = ["LayerNames", "MaskedLMNames", "body_prefix", "layer_names", "masked_lm_names"]


@dataclass(frozen=True, slots=True)
class LayerNames:
    """Modules of one encoder layer; `.weight` and `.bias` are appended."""

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str


@dataclass(frozen=True, slots=True)
class MaskedLMNames:
    """Modules of the masked-LM head; `biases` are the places where the decoder's bias may lie."""

    dense: str
    norm: str
    decoder: str
    biases: tuple[str, ...]


_MASKED_LM = {
    Family.BERT: MaskedLMNames(
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        decoder="cls.predictions.decoder",
        biases=("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ),
    Family.DISTILBERT: MaskedLMNames(
        dense="vocab_transform", norm="vocab_layer_norm", decoder="vocab_projector", biases=("vocab_projector.bias",)
    ),
    Family.ROBERTA: MaskedLMNames(
        dense="lm_head.dense",
        norm="lm_head.layer_norm",
        decoder="lm_head.decoder",
        biases=("lm_head.bias", "lm_head.decoder.bias"),
    ),
}


def body_prefix(weights: Weights) -> str:
    """Return what stands before the body's names (`bert.`, ``), found by the word embeddings."""
    ending = "embeddings.word_embeddings.weight"
    found = [name.removesuffix(ending) for name in weights if name.endswith(ending)]
    if len(found) != 1:
        raise UnsupportedCheckpoint(f"The checkpoint has {len(found)} tables of word embeddings; one is expected.")
    return found[0]


def layer_names(family: Family, prefix: str, layer: int) -> LayerNames:
    """Return the module names of layer `layer` (from 0)."""
    if family is Family.DISTILBERT:
        base = f"{prefix}transformer.layer.{layer}."
        return LayerNames(
            query=f"{base}attention.q_lin",
            key=f"{base}attention.k_lin",
            value=f"{base}attention.v_lin",
            attention_output=f"{base}attention.out_lin",
            attention_norm=f"{base}sa_layer_norm",
            intermediate=f"{base}ffn.lin1",
            output=f"{base}ffn.lin2",
            output_norm=f"{base}output_layer_norm",
        )
    base = f"{prefix}encoder.layer.{layer}."
    return LayerNames(
        query=f"{base}attention.self.query",
        key=f"{base}attention.self.key",
        value=f"{base}attention.self.value",
        attention_output=f"{base}attention.output.dense",
        attention_norm=f"{base}attention.output.LayerNorm",
        intermediate=f"{base}intermediate.dense",
        output=f"{base}output.dense",
        output_norm=f"{base}output.LayerNorm",
    )


def masked_lm_names(family: Family) -> MaskedLMNames:
    """Return the module names of the family's masked-LM head."""
    return _MASKED_LM[family]
