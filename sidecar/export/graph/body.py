"""The transformer body: token ids to hidden states [batch, length, hidden]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from onnx import TensorProto

from sidecar.export.checkpoint.architecture import Body, HiddenActivation
from sidecar.export.checkpoint.names import LayerNames, layer_names
from sidecar.export.checkpoint.weights import Array, Weights
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.products import Products

__all__ = ["TokenInputs", "activation", "encode", "layer_norm"]

MASKED = -1e9
"""Added to the attention scores of padding: far below any score, and no infinity, which a fully masked row would
turn into NaN."""

FLOORS: Final = {
    HiddenActivation.GELU: -0.17,
    HiddenActivation.GELU_TANH: -0.1701,
    HiddenActivation.RELU: 0.0,
}
"""Just below the least value each activation takes."""


@dataclass(frozen=True, slots=True)
class TokenInputs:
    """Names of the graph's inputs; `token_type_ids` is None where the graph does not take them."""

    input_ids: str
    attention_mask: str
    token_type_ids: str | None = None


def encode(
    builder: GraphBuilder,
    products: Products,
    body: Body,
    weights: Weights,
    prefix: str,
    inputs: TokenInputs,
    lookup: Callable[[str], str],
) -> str:
    """Add the whole body; `lookup` gives the word embeddings of token ids."""
    hidden = _embeddings(builder, body, weights, prefix, inputs, lookup)
    masked = _attention_bias(builder, inputs.attention_mask)
    for layer in range(body.layers):
        names = layer_names(body.family, prefix, layer)
        attended = _attention(builder, products, body, weights, names, hidden, masked)
        hidden = layer_norm(builder, weights, names.attention_norm, builder.node("Add", hidden, attended), body.epsilon)
        inner = activation(builder, body.activation, _linear(products, weights, names.intermediate, hidden))
        outer = _linear(products, weights, names.output, inner, floor=FLOORS[body.activation])
        hidden = layer_norm(builder, weights, names.output_norm, builder.node("Add", hidden, outer), body.epsilon)
    return hidden


def layer_norm(builder: GraphBuilder, weights: Weights, name: str, value: str, epsilon: float) -> str:
    """Normalise over the last axis, with the checkpoint's scale and shift under `name`."""
    scale = builder.constant(weights.need(f"{name}.weight"))
    shift = builder.constant(weights.need(f"{name}.bias"))
    return builder.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=epsilon)


def activation(builder: GraphBuilder, kind: HiddenActivation, value: str) -> str:
    """Apply the hidden activation."""
    match kind:
        case HiddenActivation.GELU:
            return builder.node("Gelu", value, approximate="none")
        case HiddenActivation.GELU_TANH:
            return builder.node("Gelu", value, approximate="tanh")
        case HiddenActivation.RELU:
            return builder.node("Relu", value)


def _linear(products: Products, weights: Weights, name: str, value: str, floor: float | None = None) -> str:
    return products.linear(value, weights.need(f"{name}.weight"), weights.need(f"{name}.bias"), floor)


def _embeddings(
    builder: GraphBuilder,
    body: Body,
    weights: Weights,
    prefix: str,
    inputs: TokenInputs,
    lookup: Callable[[str], str],
) -> str:
    table = f"{prefix}embeddings."
    positions = weights.need(f"{table}position_embeddings.weight")
    if body.token_types:
        types = weights.need(f"{table}token_type_embeddings.weight")
        if inputs.token_type_ids is None:
            # Every token is of type 0: one addition less at run time.
            positions = positions + types[0]
    value = builder.node("Add", lookup(inputs.input_ids), _positions(builder, body, positions, inputs))
    if body.token_types and inputs.token_type_ids is not None:
        value = builder.node("Add", value, builder.node("Gather", builder.constant(types), inputs.token_type_ids))
    return layer_norm(builder, weights, f"{table}LayerNorm", value, body.epsilon)


def _positions(builder: GraphBuilder, body: Body, table: Array, inputs: TokenInputs) -> str:
    if body.first_position == 0:
        length = builder.node("Shape", inputs.input_ids, start=1, end=2)
        return builder.node("Slice", builder.constant(table), builder.integers(0), length, builder.integers(0))
    # RoBERTa: real tokens count from the padding id + 1, padding itself stays on the padding id.
    counted = builder.node("CumSum", inputs.attention_mask, builder.constant(np.asarray(1, dtype=np.int64)))
    offset = builder.constant(np.asarray(body.first_position - 1, dtype=np.int64))
    numbers = builder.node("Add", builder.node("Mul", counted, inputs.attention_mask), offset)
    return builder.node("Gather", builder.constant(table), numbers)


def _attention_bias(builder: GraphBuilder, attention_mask: str) -> str:
    mask = builder.node("Cast", builder.node("Unsqueeze", attention_mask, builder.integers(1, 2)), to=TensorProto.FLOAT)
    return builder.node("Mul", builder.node("Sub", builder.scalar(1.0), mask), builder.scalar(MASKED))


def _attention(
    builder: GraphBuilder,
    products: Products,
    body: Body,
    weights: Weights,
    names: LayerNames,
    hidden: str,
    masked: str,
) -> str:
    """Self-attention with one product for query, key and value; the query's scale is folded into its weights."""
    size = body.hidden // body.heads
    scale = np.float32(1.0 / math.sqrt(size))
    parts = (names.query, names.key, names.value)
    factors = (scale, np.float32(1.0), np.float32(1.0))
    weight = np.concatenate([weights.need(f"{name}.weight") * by for name, by in zip(parts, factors, strict=True)])
    bias = np.concatenate([weights.need(f"{name}.bias") * by for name, by in zip(parts, factors, strict=True)])
    projected = products.linear(hidden, weight, bias)
    split = builder.node("Reshape", projected, builder.integers(0, 0, 3, body.heads, size))
    stacked = builder.node("Transpose", split, perm=[2, 0, 3, 1, 4])
    first = builder.integers(0)
    query, key, value = (
        builder.node("Squeeze", part, first)
        for part in builder.nodes("Split", stacked, outputs=3, axis=0, num_outputs=3)
    )
    scores = builder.node("MatMul", query, builder.node("Transpose", key, perm=[0, 1, 3, 2]))
    shares = builder.node("Softmax", builder.node("Add", scores, masked), axis=-1)
    context = builder.node("Transpose", builder.node("MatMul", shares, value), perm=[0, 2, 1, 3])
    joined = builder.node("Reshape", context, builder.integers(0, 0, body.hidden))
    return _linear(products, weights, names.attention_output, joined)
