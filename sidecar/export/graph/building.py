"""One checkpoint, one graph."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.bundle.manifest import Activation, Pooling, Quantization
from sidecar.export.checkpoint.reading import Checkpoint, Head
from sidecar.export.graph.body import TokenInputs, encode
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.heads import read_masked_lm_head, score_head, splade_head, token_weight_head
from sidecar.export.graph.products import Float32Products, Int8Products, Products, RecordingProducts
from sidecar.export.graph.rounding import InputStatistics
from sidecar.export.graph.vocabulary import Decoder
from sidecar.export.recipe import Recipe

__all__ = ["build_graph", "build_recording_graph"]


def build_graph(
    checkpoint: Checkpoint,
    recipe: Recipe,
    quantization: Quantization,
    tiles: int,
    calibration: Sequence[InputStatistics] = (),
) -> GraphBuilder:
    """Build the graph of a checkpoint: tokens in, [batch, vocabulary], [batch, length] or [batch, 1] out.

    Batch and length are dynamic. Inputs and outputs are named as the manifest's GraphPorts have them. `calibration`,
    from a recording graph of the same checkpoint and recipe, makes int8 closer to float32.
    """
    builder = _builder(checkpoint, recipe)
    int8 = quantization is Quantization.INT8
    products: Products = Int8Products(builder, calibration) if int8 else Float32Products(builder)
    return _built(builder, products, checkpoint, recipe, tiles)


def build_recording_graph(checkpoint: Checkpoint, recipe: Recipe, tiles: int) -> tuple[GraphBuilder, list[str]]:
    """Build the float32 graph whose further outputs, also named here, are its products' inputs [rows, in]."""
    builder = _builder(checkpoint, recipe)
    products = RecordingProducts(builder)
    _built(builder, products, checkpoint, recipe, tiles)
    names = [f"input_{number}" for number in range(len(products.inputs))]
    for name, (value, columns) in zip(names, products.inputs, strict=True):
        builder.output(name, value, columns, rows="rows")
    return builder, names


def _builder(checkpoint: Checkpoint, recipe: Recipe) -> GraphBuilder:
    return GraphBuilder(f"{checkpoint.body.family}-{recipe.head}")


def _built(
    builder: GraphBuilder, products: Products, checkpoint: Checkpoint, recipe: Recipe, tiles: int
) -> GraphBuilder:
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
