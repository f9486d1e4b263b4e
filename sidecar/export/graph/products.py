"""Matrix products with constant weights: in float32, or in int8 with one scale per row and per column.

The int8 form keeps what a text gets independent of its neighbours in a batch: activations are scaled per token (per
text in the vocabulary head), never over the whole batch as ONNX's DynamicQuantizeLinear does. Weights are int8,
symmetric, one scale per output column; activations are uint8 around 128; sums are exact int32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from sidecar.export.checkpoint.weights import Array
from sidecar.export.graph.builder import GraphBuilder

__all__ = ["Float32Products", "HeadInput", "Int8Products", "Products", "QuantizedRows", "Vocabulary", "quantize_rows"]

MICROSOFT = "com.microsoft"

ZERO = 128
"""The uint8 that stands for an activation of 0."""

TINY = 1e-12
"""Least magnitude a scale is taken of: a row of zeros would divide by zero."""

LEVELS = 127
"""Largest magnitude of an int8 weight; -128 is left out so that the scale is symmetric."""


@dataclass(frozen=True, slots=True)
class QuantizedRows:
    """`values` [rows, columns] int8 and `scales` [rows]: row i stands for values[i] * scales[i]."""

    values: NDArray[np.int8]
    scales: Array


def quantize_rows(matrix: Array) -> QuantizedRows:
    """Quantise each row symmetrically to int8; rows of zeros, and of less than `TINY`, get the scale 1.

    Processors without VNNI add two neighbouring products of uint8 and int8 in 16 bits, saturating (vpmaddubsw): two
    neighbours of one sign must not exceed 128 together, as 255 * 128 is the last that fits. Scaling a row by its
    largest such pair costs a third of a bit; halving the range, which is the usual remedy, costs a whole one.
    """
    largest = np.maximum(np.abs(matrix).max(axis=1), _largest_pair(matrix))
    scales = np.where(largest > TINY, largest / LEVELS, 1.0).astype(np.float32)
    return QuantizedRows(np.rint(matrix / scales[:, None]).astype(np.int8), scales)


def _largest_pair(matrix: Array) -> Array:
    """For each row the largest |a + b| over its columns (0, 1), (2, 3), ... where a and b have one sign."""
    even = matrix[:, : matrix.shape[1] // 2 * 2]
    if even.shape[1] == 0:
        return np.zeros(len(matrix), dtype=np.float32)
    pairs = even.reshape(len(matrix), -1, 2)
    upper, lower = np.maximum(pairs, 0.0).sum(axis=2), np.maximum(-pairs, 0.0).sum(axis=2)
    return np.asarray(np.maximum(upper, lower).max(axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class HeadInput:
    """What a vocabulary tile multiplies: `value` [batch, length, hidden], and `scale` [batch, 1, 1] or None.

    A tile's logits are its product times the scale. The scale is > 0, so a maximum may be taken before it is applied.
    """

    value: str
    scale: str | None


class Vocabulary(Protocol):
    """Word embeddings, and the decoder to the vocabulary, tile by tile."""

    def rows(self, ids: str) -> str:
        """Embeddings [batch, length, hidden] of `ids` [batch, length]."""
        ...

    def prepare(self, value: str) -> HeadInput:
        """Bring `value` [batch, length, hidden] into the form that tiles multiply."""
        ...

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        """For each tile: its product [batch, length, columns] without scale and bias, and the columns it covers."""
        ...


class Products(Protocol):
    """How a graph multiplies by weight matrices."""

    def linear(self, value: str, weight: Array, bias: Array, floor: float | None = None) -> str:
        """`value` [..., in] times `weight` [out, in] transposed, plus `bias` [out].

        `floor` promises that no element of `value` is below it; None: it may be anything.
        """
        ...

    def vocabulary(self, table: Array, decoder: Array | None, tiles: int) -> Vocabulary:
        """Embeddings `table` [vocabulary, hidden] with `decoder` of the same shape; None: tied, and stored once."""
        ...


def _bounds(rows: int, tiles: int) -> list[slice]:
    width = -(-rows // tiles)
    return [slice(start, min(start + width, rows)) for start in range(0, rows, width)]


class Float32Products:
    """Plain float32 products."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def linear(self, value: str, weight: Array, bias: Array, floor: float | None = None) -> str:
        del floor
        product = self._builder.node("MatMul", value, self._builder.constant(weight.T))
        return self._builder.node("Add", product, self._builder.constant(bias))

    def vocabulary(self, table: Array, decoder: Array | None, tiles: int) -> Vocabulary:
        return _Float32Vocabulary(self._builder, table, decoder, tiles)


class _Float32Vocabulary:
    def __init__(self, builder: GraphBuilder, table: Array, decoder: Array | None, tiles: int) -> None:
        self._builder = builder
        self._bounds = _bounds(len(table), tiles)
        source = table if decoder is None else decoder
        self._pieces = [builder.constant(source[bound]) for bound in self._bounds]
        if decoder is not None:
            self._table = builder.constant(table)
        else:
            # Folded when the graph is loaded: the file holds the tied table once.
            self._table = builder.node("Concat", *self._pieces, axis=0)

    def rows(self, ids: str) -> str:
        return self._builder.node("Gather", self._table, ids)

    def prepare(self, value: str) -> HeadInput:
        return HeadInput(value, None)

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        for piece, bound in zip(self._pieces, self._bounds, strict=True):
            columns = self._builder.node("Transpose", piece, perm=[1, 0])
            yield self._builder.node("MatMul", prepared.value, columns), bound


class Int8Products:
    """Products of int8 weights and uint8 activations; see the module."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def linear(self, value: str, weight: Array, bias: Array, floor: float | None = None) -> str:
        builder = self._builder
        quantized = quantize_rows(weight)
        columns = builder.constant(quantized.values.T)
        if floor is None:
            levels, scale = self.quantize(value, axes=(-1,))
            product = self.multiply(levels, columns, quantized.scales, ZERO)
        else:
            # Levels count from the floor, so all 256 are used; what the floor adds to each column is a constant.
            levels, scale = self.quantize_above(value, floor)
            product = self.multiply(levels, columns, quantized.scales, 0)
            bias = bias + floor * quantized.scales * quantized.values.sum(axis=1, dtype=np.int64)
            bias = bias.astype(np.float32)
        return builder.node("Add", builder.node("Mul", product, scale), builder.constant(bias))

    def vocabulary(self, table: Array, decoder: Array | None, tiles: int) -> Vocabulary:
        return _Int8Vocabulary(self._builder, self, table, decoder, tiles)

    def quantize(self, value: str, axes: tuple[int, ...]) -> tuple[str, str]:
        """`value` as uint8 around 128, and its scale: the largest magnitude over `axes`, which are kept, over 127."""
        builder = self._builder
        largest = builder.node("ReduceMax", builder.node("Abs", value), builder.integers(*axes), keepdims=1)
        scale = builder.node("Mul", builder.node("Max", largest, builder.scalar(TINY)), builder.scalar(1 / LEVELS))
        # The cast cuts off: adding a half makes it round.
        shifted = builder.node("Add", builder.node("Div", value, scale), builder.scalar(ZERO + 0.5))
        return builder.node("Cast", shifted, to=TensorProto.UINT8), scale

    def quantize_above(self, value: str, floor: float) -> tuple[str, str]:
        """`value` as uint8 that counts from `floor`, one scale per row of the last axis, and these scales."""
        builder = self._builder
        above = builder.node("Sub", value, builder.scalar(floor))
        largest = builder.node("ReduceMax", above, builder.integers(-1), keepdims=1)
        scale = builder.node("Mul", builder.node("Max", largest, builder.scalar(TINY)), builder.scalar(1 / 255))
        rounded = builder.node("Add", builder.node("Div", above, scale), builder.scalar(0.5))
        return builder.node("Cast", rounded, to=TensorProto.UINT8), scale

    def multiply(self, levels: str, columns: str, scales: Array, zero_point: int) -> str:
        """`levels` [..., in], where `zero_point` stands for 0, times int8 `columns` [in, out], times `scales` [out]."""
        builder = self._builder
        zero = builder.constant(np.asarray(zero_point, dtype=np.uint8))
        return builder.node(
            "MatMulIntegerToFloat",
            levels,
            columns,
            builder.scalar(1.0),
            builder.constant(scales),
            zero,
            domain=MICROSOFT,
        )


class _Int8Vocabulary:
    def __init__(
        self, builder: GraphBuilder, products: Int8Products, table: Array, decoder: Array | None, tiles: int
    ) -> None:
        self._builder = builder
        self._products = products
        self._bounds = _bounds(len(table), tiles)
        embeddings = quantize_rows(table)
        self._decoder = embeddings if decoder is None else quantize_rows(decoder)
        self._pieces = [builder.constant(self._decoder.values[bound]) for bound in self._bounds]
        if decoder is not None:
            self._table = builder.constant(embeddings.values)
        else:
            self._table = builder.node("Concat", *self._pieces, axis=0)
        self._scales = builder.constant(embeddings.scales[:, None])

    def rows(self, ids: str) -> str:
        builder = self._builder
        levels = builder.node("Cast", builder.node("Gather", self._table, ids), to=TensorProto.FLOAT)
        return builder.node("Mul", levels, builder.node("Gather", self._scales, ids))

    def prepare(self, value: str) -> HeadInput:
        levels, scale = self._products.quantize(value, axes=(1, 2))
        return HeadInput(levels, scale)

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        for piece, bound in zip(self._pieces, self._bounds, strict=True):
            columns = self._builder.node("Transpose", piece, perm=[1, 0])
            yield self._products.multiply(prepared.value, columns, self._decoder.scales[bound], ZERO), bound
