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
from sidecar.export.graph.products import Linear, Products

__all__ = ["TokenInputs", "activation", "encode", "layer_norm"]

MASKED = -1e9
"""Added to the attention scores of padding: far below any score, and no infinity, which a fully masked row would
turn into NaN."""

FLOORS: Final = {
    HiddenActivation.GELU: -0.1701,
    HiddenActivation.GELU_TANH: -0.1701,
    HiddenActivation.RELU: 0.0,
}
"""Just below the least value each activation takes, in either of its forms."""


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
    *,
    first_only: bool = False,
) -> str:
    """Add the whole body; `lookup` gives the word embeddings of token ids.

    `first_only` returns the states [batch, 1, hidden] of each text's first token alone: the last layer then spares
    all other tokens everything but their keys and values.
    """
    embedded = _embeddings(builder, body, weights, prefix, inputs, lookup)
    layers = _Layers(builder, products, body, weights, inputs)
    hidden = builder.node("Reshape", embedded, builder.integers(-1, body.hidden))
    for layer in range(body.layers):
        names = layer_names(body.family, prefix, layer)
        hidden = layers.add(names, hidden, first_only=first_only and layer == body.layers - 1)
    length = builder.integers(1) if first_only else builder.node("Shape", inputs.input_ids, start=1, end=2)
    shape = builder.node("Concat", builder.integers(-1), length, builder.integers(body.hidden), axis=0)
    return builder.node("Reshape", hidden, shape)


class _Layers:
    """Adds layers whose states are rows [batch * length, hidden]: quantised rows need one scale each."""

    def __init__(
        self, builder: GraphBuilder, products: Products, body: Body, weights: Weights, inputs: TokenInputs
    ) -> None:
        self._builder, self._products, self._body, self._weights = builder, products, body, weights
        self._batch = builder.node("Shape", inputs.input_ids, start=0, end=1)
        self._masked = _attention_bias(builder, inputs.attention_mask)
        self._each = body.hidden // body.heads

    def add(self, names: LayerNames, hidden: str, *, first_only: bool) -> str:
        """One layer; with `first_only` the rows that it returns are those of the first tokens [batch, hidden]."""
        rows = self._first(hidden) if first_only else hidden
        context = self._attention(names, rows, hidden)
        (attended,) = self._products.linear(context, self._attention_output(names))
        rows = self._residual(names.attention_norm, rows, attended)
        (inner,) = self._products.linear(rows, self._linear(names.intermediate))
        inner = activation(self._builder, self._body.activation, inner, exact=self._products.exact)
        floor = FLOORS[self._body.activation]
        (outer,) = self._products.linear(inner, self._linear(names.output), floor=floor)
        return self._residual(names.output_norm, rows, outer)

    def _attention(self, names: LayerNames, rows: str, hidden: str) -> str:
        """Self-attention of `rows` to all of `hidden`; the query's scale is folded into its weights.

        The key's bias is left out: it adds the same to all scores of a row, which softmax takes away again.
        """
        builder, linear = self._builder, self._products.linear
        scaled = self._linear(names.query, 1.0 / math.sqrt(self._each))
        others = tuple(Linear(self._weights.need(f"{name}.weight"), None) for name in (names.key, names.value))
        if rows == hidden:
            query, key, value = linear(hidden, scaled, *others)
        else:
            (query,), (key, value) = linear(rows, scaled), linear(hidden, *others)
        query, value = self._heads(query, (0, 2, 1, 3)), self._heads(value, (0, 2, 1, 3))
        scores = builder.node("MatMul", query, self._heads(key, (0, 2, 3, 1)))
        shares = builder.node("Softmax", builder.node("Add", scores, self._masked), axis=-1)
        context = builder.node("Transpose", builder.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return builder.node("Reshape", context, builder.integers(-1, self._body.hidden))

    def _attention_output(self, names: LayerNames) -> Linear:
        """The layer behind attention, with the value's bias in its own: shares sum to 1, so each row gets it once."""
        layer = self._linear(names.attention_output)
        value = self._weights.need(f"{names.value}.bias")
        return Linear(layer.weight, self._weights.need(f"{names.attention_output}.bias") + layer.weight @ value)

    def _heads(self, rows: str, order: tuple[int, ...]) -> str:
        """Rows [batch * length, hidden] as [batch, length, heads, size], transposed to `order`."""
        builder = self._builder
        sizes = builder.integers(-1, self._body.heads, self._each)
        split = builder.node("Reshape", rows, builder.node("Concat", self._batch, sizes, axis=0))
        return builder.node("Transpose", split, perm=order)

    def _first(self, hidden: str) -> str:
        builder = self._builder
        shape = builder.node("Concat", self._batch, builder.integers(-1, self._body.hidden), axis=0)
        texts = builder.node("Reshape", hidden, shape)
        return builder.node("Gather", texts, builder.constant(np.asarray(0, dtype=np.int64)), axis=1)

    def _residual(self, norm: str, rows: str, added: str) -> str:
        total = self._builder.node("Add", rows, added)
        return layer_norm(self._builder, self._weights, norm, total, self._body.epsilon)

    def _linear(self, name: str, factor: float = 1.0) -> Linear:
        need = self._weights.need
        return Linear(need(f"{name}.weight") * factor, need(f"{name}.bias") * factor)


def layer_norm(builder: GraphBuilder, weights: Weights, name: str, value: str, epsilon: float) -> str:
    """Normalise over the last axis, with the checkpoint's scale and shift under `name`."""
    scale = builder.constant(weights.need(f"{name}.weight"))
    shift = builder.constant(weights.need(f"{name}.bias"))
    return builder.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=epsilon)


def activation(builder: GraphBuilder, kind: HiddenActivation, value: str, *, exact: bool) -> str:
    """Apply the hidden activation; GELU as tanh approximates it where that is enough: off by .0005 at most."""
    match kind:
        case HiddenActivation.GELU:
            return builder.node("Gelu", value, approximate="none" if exact else "tanh")
        case HiddenActivation.GELU_TANH:
            return builder.node("Gelu", value, approximate="tanh")
        case HiddenActivation.RELU:
            return builder.node("Relu", value)


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
