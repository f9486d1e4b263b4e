"""Matrix products with constant weights: in float32, or in int8 with one scale per row and per column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.export.checkpoint.weights import Array
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.integers import ZERO, Quantizer, quantize_rows
from sidecar.export.graph.rounding import InputStatistics, round_together, smoothing
from sidecar.export.graph.vocabulary import Decoder, Float32Vocabulary, Int8Vocabulary, Vocabulary

__all__ = ["Float32Products", "Int8Products", "Linear", "Products", "RecordingProducts"]


@dataclass(frozen=True, slots=True)
class Linear:
    """One layer: `weight` [out, in] and `bias` [out], or None where it adds nothing."""

    weight: Array
    bias: Array | None


class Products(Protocol):
    """How a graph multiplies by weight matrices."""

    @property
    def exact(self) -> bool:
        """Whether what stands between the products has to keep float32's precision, too."""
        ...

    def linear(self, value: str, *layers: Linear, floor: float | None = None) -> list[str]:
        """For each layer `value` [rows, in] times the transposed weight, plus the bias: [rows, out].

        `floor` promises that no element of `value` is below it; None: it may be anything.
        """
        ...

    def vocabulary(self, table: Array, decoder: Decoder) -> Vocabulary:
        """Embeddings `table` [vocabulary, hidden], and the decoder."""
        ...


class Float32Products:
    """Plain float32 products."""

    exact = True

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def linear(self, value: str, *layers: Linear, floor: float | None = None) -> list[str]:
        del floor
        builder = self._builder
        products = [builder.node("MatMul", value, builder.constant(layer.weight.T)) for layer in layers]
        return [_biased(builder, product, layer) for product, layer in zip(products, layers, strict=True)]

    def vocabulary(self, table: Array, decoder: Decoder) -> Vocabulary:
        return Float32Vocabulary(self._builder, table, decoder)


class RecordingProducts(Float32Products):
    """Plain products that remember what they multiply: `inputs`, each with its number of columns, in order."""

    def __init__(self, builder: GraphBuilder) -> None:
        super().__init__(builder)
        self.inputs: list[tuple[str, int]] = []

    def linear(self, value: str, *layers: Linear, floor: float | None = None) -> list[str]:
        self.inputs.append((value, layers[0].weight.shape[1]))
        return super().linear(value, *layers, floor=floor)


class Int8Products:
    """Products of int8 weights and uint8 activations; see `sidecar.export.graph.integers`.

    `calibration` has the statistics of every call of `linear`, in their order, or is empty.
    """

    exact = False

    def __init__(self, builder: GraphBuilder, calibration: Sequence[InputStatistics] = ()) -> None:
        self._builder = builder
        self._quantizer = Quantizer(builder)
        self._calibration = iter(calibration)

    def linear(self, value: str, *layers: Linear, floor: float | None = None) -> list[str]:
        statistics = next(self._calibration, None)
        # What has a floor is quantised by levels of its own, which dividing would move.
        weights = [layer.weight for layer in layers]
        factors = None if statistics is None or floor is not None else smoothing(statistics, *weights)
        if statistics is not None and factors is not None:
            value = self._builder.node("Mul", value, self._builder.constant(1.0 / factors))
            layers = tuple(Linear(layer.weight * factors, layer.bias) for layer in layers)
            statistics = statistics.divided(factors)
        zero_point = ZERO
        if floor is None:
            levels, scale = self._quantizer.quantize(value)
        else:
            levels, scale, zero_point = self._quantizer.quantize_above(value, floor)
        return [self._layer(levels, scale, layer, zero_point, statistics) for layer in layers]

    def vocabulary(self, table: Array, decoder: Decoder) -> Vocabulary:
        return Int8Vocabulary(self._builder, table, decoder)

    def _layer(
        self, levels: str, scale: str, layer: Linear, zero_point: int, statistics: InputStatistics | None
    ) -> str:
        builder = self._builder
        quantized = quantize_rows(layer.weight) if statistics is None else round_together(layer.weight, statistics)
        columns = builder.constant(quantized.values.T)
        product = self._quantizer.multiply(levels, columns, quantized.scales, zero_point)
        return _biased(builder, builder.node("Mul", product, scale), layer)


def _biased(builder: GraphBuilder, product: str, layer: Linear) -> str:
    return product if layer.bias is None else builder.node("Add", product, builder.constant(layer.bias))
