"""What stands on the body: SPLADE's vocabulary head, own-term weights, the cross-encoder's score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from sidecar.bundle.manifest import Activation, Pooling
from sidecar.export.checkpoint.architecture import Body, Family, HiddenActivation
from sidecar.export.checkpoint.names import masked_lm_names
from sidecar.export.checkpoint.weights import Array, Weights
from sidecar.export.graph.body import activation, layer_norm
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.products import Linear, Products
from sidecar.export.graph.vocabulary import Columns, Vocabulary

__all__ = ["MaskedLmHead", "read_masked_lm_head", "score_head", "splade_head", "token_weight_head"]


@dataclass(frozen=True, slots=True)
class MaskedLmHead:
    """The masked-LM decoder: `weight` [vocabulary, hidden], None where tied to the embeddings; `bias` [vocabulary].

    `live` numbers the entries whose logit can be above 0 at all, ascending; None: any of them may be.
    """

    weight: Array | None
    bias: Array
    live: Columns | None


def read_masked_lm_head(body: Body, weights: Weights, table: Array, *, tied: bool) -> MaskedLmHead:
    """Read the decoder's rows up to the length of `table` [vocabulary, hidden]: tables are often padded beyond it."""
    names = masked_lm_names(body.family)
    # Untied, the decoder's own bias is the one in use; tied, it is the head's, and the other a copy of it.
    biases = names.biases if tied else names.biases[::-1]
    found = [weights[name] for name in biases if name in weights]
    bias = (found[0] if found else np.zeros(body.vocabulary, dtype=np.float32))[: len(table)]
    weight = None if tied else weights.need(f"{names.decoder}.weight")[: len(table)]
    live = _live(table if weight is None else weight, bias, weights, names.norm)
    return MaskedLmHead(weight, bias, None if len(live) == len(table) else live)


def _live(decoder: Array, bias: Array, weights: Weights, norm: str) -> Columns:
    """Entries whose logit some state lifts above 0, by Cauchy and Schwarz.

    A normalised state has the length sqrt(hidden), so decoder @ (scale * state + shift) + bias is at most
    sqrt(hidden) * |decoder * scale| + decoder @ shift + bias. An entry that is never above 0 has the weight 0 in
    every text: training closes entries so. At least one is kept.
    """
    scale, shift = weights.need(f"{norm}.weight"), weights.need(f"{norm}.bias")
    largest = math.sqrt(len(scale)) * np.linalg.norm(decoder * scale, axis=1) + decoder @ shift + bias
    return np.flatnonzero(largest >= min(0.0, float(largest.max()))).astype(np.int64)


def splade_head(
    builder: GraphBuilder,
    products: Products,
    vocabulary: Vocabulary,
    body: Body,
    weights: Weights,
    hidden: str,
    attention_mask: str,
    *,
    head: MaskedLmHead,
    pooling: Pooling,
    kind: Activation,
) -> str:
    """Weights [batch, vocabulary]; no value of the graph has length and vocabulary as axes, only length and one tile.

    Entries that are never above 0 are left out of the products, and get their zeros at the end.

    With max pooling the activation comes last: it is monotone, so it commutes with the maximum. Padding takes on the
    first token's state, which the maximum has seen already: that needs no mask on the logits.
    """
    names = masked_lm_names(body.family)
    rows = builder.node("Reshape", hidden, builder.integers(-1, body.hidden))
    layer = Linear(weights.need(f"{names.dense}.weight"), weights.need(f"{names.dense}.bias"))
    (dense,) = products.linear(rows, layer)
    # RoBERTa's head has a GELU whatever the body's activation is; BERT's and DistilBERT's follow the configuration.
    kind_inside = HiddenActivation.GELU if body.family is Family.ROBERTA else body.activation
    inner = activation(builder, kind_inside, dense, exact=products.exact)
    normalised = layer_norm(builder, weights, names.norm, inner, body.epsilon)
    state = builder.node("Reshape", normalised, builder.node("Shape", hidden))
    column = builder.node("Unsqueeze", attention_mask, builder.integers(2))
    first = builder.node("Slice", state, builder.integers(0), builder.integers(1), builder.integers(1))
    state = builder.node("Where", builder.node("Cast", column, to=TensorProto.BOOL), state, first)
    prepared = vocabulary.prepare(state)
    bias = head.bias if head.live is None else head.bias[head.live]
    length = builder.integers(1)
    pooled: list[str] = []
    if pooling is Pooling.MAX:
        for product, _ in vocabulary.tiles(prepared):
            pooled.append(builder.node("ReduceMax", product, length, keepdims=0))
        joined = builder.node("Concat", *pooled, axis=1)
        if prepared.scale is not None:
            joined = builder.node("Mul", joined, builder.node("Squeeze", prepared.scale, builder.integers(2)))
        found = _weights(builder, kind, builder.node("Add", joined, builder.constant(bias)))
        return _spread(builder, found, head)
    counted = builder.node("Cast", column, to=TensorProto.FLOAT)
    for product, bound in vocabulary.tiles(prepared):
        logits = product if prepared.scale is None else builder.node("Mul", product, prepared.scale)
        active = _weights(builder, kind, builder.node("Add", logits, builder.constant(bias[bound])))
        pooled.append(builder.node("ReduceSum", builder.node("Mul", active, counted), length, keepdims=0))
    return _spread(builder, builder.node("Concat", *pooled, axis=1), head)


def _spread(builder: GraphBuilder, found: str, head: MaskedLmHead) -> str:
    """Weights [batch, live] as [batch, vocabulary], zeros in between."""
    if head.live is None:
        return found
    places = np.full(len(head.bias), len(head.live), dtype=np.int64)
    places[head.live] = np.arange(len(head.live))
    padded = builder.node("Pad", found, builder.integers(0, 0, 0, 1))
    return builder.node("Gather", padded, builder.constant(places), axis=1)


def token_weight_head(builder: GraphBuilder, weights: Weights, hidden: str, attention_mask: str) -> str:
    """Weights [batch, length] of the text's own tokens (uniCOIL's `tok_proj`), 0 on padding."""
    product = builder.node("MatMul", hidden, builder.constant(weights.need("tok_proj.weight").T))
    value = builder.node("Relu", builder.node("Add", product, builder.constant(weights.need("tok_proj.bias"))))
    flat = builder.node("Squeeze", value, builder.integers(2))
    return builder.node("Mul", flat, builder.node("Cast", attention_mask, to=TensorProto.FLOAT))


def score_head(builder: GraphBuilder, body: Body, weights: Weights, prefix: str, hidden: str) -> str:
    """Logits [batch, 1] from the first token's state in `hidden` [batch, any, hidden]; two small float32 products."""
    first = builder.constant(np.asarray(0, dtype=np.int64))
    state = builder.node("Gather", hidden, first, axis=1)
    match body.family:
        case Family.BERT:
            inner, nonlinear, outer = f"{prefix}pooler.dense", "Tanh", "classifier"
        case Family.DISTILBERT:
            inner, nonlinear, outer = "pre_classifier", "Relu", "classifier"
        case Family.ROBERTA:
            inner, nonlinear, outer = "classifier.dense", "Tanh", "classifier.out_proj"
    state = builder.node(nonlinear, _plain(builder, weights, inner, state))
    return _plain(builder, weights, outer, state)


def _plain(builder: GraphBuilder, weights: Weights, name: str, value: str) -> str:
    weight = builder.constant(weights.need(f"{name}.weight").T)
    return builder.node("Add", builder.node("MatMul", value, weight), builder.constant(weights.need(f"{name}.bias")))


def _weights(builder: GraphBuilder, kind: Activation, logits: str) -> str:
    value = builder.node("Relu", logits)
    logarithms = {Activation.RELU: 0, Activation.LOG1P_RELU: 1, Activation.LOG1P_LOG1P_RELU: 2}[kind]
    for _ in range(logarithms):
        value = builder.node("Log", builder.node("Add", value, builder.scalar(1.0)))
    return value
