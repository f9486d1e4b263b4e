"""A masked language model as a plain trace would have it: float32, logits over [batch, length, vocabulary]."""

from __future__ import annotations

from sidecar.export.checkpoint import Checkpoint
from sidecar.export.checkpoint.names import masked_lm_names
from sidecar.export.graph.body import TokenInputs, activation, encode, layer_norm
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.heads import read_masked_lm_head
from sidecar.export.graph.products import Float32Products, Linear

__all__ = ["add_naive_logits"]


def add_naive_logits(builder: GraphBuilder, checkpoint: Checkpoint) -> str:
    """Add inputs, body and head of a checkpoint with a tied decoder; return the logits."""
    products = Float32Products(builder)
    inputs = TokenInputs(builder.input_tokens("input_ids"), builder.input_tokens("attention_mask"))
    body, weights, prefix = checkpoint.body, checkpoint.weights, checkpoint.prefix
    table = weights.need(f"{prefix}embeddings.word_embeddings.weight")[: checkpoint.rows]
    stored = builder.constant(table)
    hidden = encode(builder, products, body, weights, prefix, inputs, lambda ids: builder.node("Gather", stored, ids))
    names = masked_lm_names(body.family)
    (dense,) = products.linear(
        hidden, Linear(weights.need(f"{names.dense}.weight"), weights.need(f"{names.dense}.bias"))
    )
    inner = activation(builder, body.activation, dense, exact=True)
    state = layer_norm(builder, weights, names.norm, inner, body.epsilon)
    head = read_masked_lm_head(body, weights, table, tied=True)
    (logits,) = products.linear(state, Linear(table, head.bias))
    return logits
