"""One checkpoint, one graph."""

from __future__ import annotations

from sidecar.bundle.manifest import Activation, Pooling, Quantization
from sidecar.export.checkpoint.reading import Checkpoint, Head
from sidecar.export.graph.body import TokenInputs, encode
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.heads import read_masked_lm_head, score_head, splade_head, token_weight_head
from sidecar.export.graph.products import Float32Products, Int8Products, Products
from sidecar.export.graph.vocabulary import Decoder
from sidecar.export.recipe import Recipe

__all__ = ["build_graph"]


def build_graph(checkpoint: Checkpoint, recipe: Recipe, quantization: Quantization, tiles: int) -> GraphBuilder:
    """Build the graph of a checkpoint: tokens in, [batch, vocabulary], [batch, length] or [batch, 1] out.

    Batch and length are dynamic. Inputs and outputs are named as the manifest's GraphPorts have them.
    """
    builder = GraphBuilder(f"{checkpoint.body.family}-{recipe.head}")
    products: Products = Int8Products(builder) if quantization is Quantization.INT8 else Float32Products(builder)
    inputs = TokenInputs(
        input_ids=builder.input_tokens("input_ids"),
        attention_mask=builder.input_tokens("attention_mask"),
        token_type_ids=builder.input_tokens("token_type_ids") if recipe.token_types else None,
    )
    body, weights, prefix = checkpoint.body, checkpoint.weights, checkpoint.prefix
    table = weights.need(f"{prefix}embeddings.word_embeddings.weight")[: checkpoint.rows]
    if recipe.head is not Head.MASKED_LM:
        # Without a decoder there is nothing to cut the table for.
        vocabulary = products.vocabulary(table, Decoder())
        score = recipe.head is Head.SCORE
        hidden = encode(builder, products, body, weights, prefix, inputs, vocabulary.rows, first_only=score)
        if score:
            builder.output("logits", score_head(builder, body, weights, prefix, hidden), 1)
        else:
            builder.output("weights", token_weight_head(builder, weights, hidden, inputs.attention_mask), "length")
        return builder
    head = read_masked_lm_head(body, weights, table, tied=checkpoint.tied)
    live = checkpoint.rows if head.live is None else len(head.live)
    decoder = Decoder(head.weight, head.live, max(1, min(-(-tiles * live // checkpoint.rows), live)))
    vocabulary = products.vocabulary(table, decoder)
    hidden = encode(builder, products, body, weights, prefix, inputs, vocabulary.rows)
    pooled = splade_head(
        builder,
        products,
        vocabulary,
        body,
        weights,
        hidden,
        inputs.attention_mask,
        head=head,
        pooling=recipe.pooling or Pooling.MAX,
        kind=recipe.activation or Activation.LOG1P_RELU,
    )
    builder.output("weights", pooled, checkpoint.rows)
    return builder
