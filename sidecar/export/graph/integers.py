"""int8 arithmetic in a graph: weights with one scale per output column, activations with one per row.

What a text gets is independent of its neighbours in a batch: activations are scaled per token (per text in the
vocabulary head), never over the whole batch as ONNX's DynamicQuantizeLinear does. Weights are int8, symmetric;
activations are uint8; sums are exact int32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.export.checkpoint.weights import Array
from sidecar.export.graph.builder import GraphBuilder

__all__ = ["ZERO", "QuantizedRows", "Quantizer", "quantize_rows"]

MICROSOFT = "com.microsoft"

ZERO = 128
"""The uint8 that stands for an activation of 0 where activations have both signs."""

TINY = 1e-12
"""Added to the magnitude that a scale is taken of: a row of zeros would divide by zero."""

BELOW = 24
"""Levels for what is below 0 where an activation has a floor: a tenth of all, for the twentieth or so of the range."""

LEVELS = 127
"""Largest magnitude of an int8 weight; -128 is left out so that the scale is symmetric."""

UNSIGNED_LEVELS = 255
"""Largest uint8."""


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


class Quantizer:
    """Adds quantisation and integer products to a graph."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def quantize(self, value: str, axes: tuple[int, ...] = (1,)) -> tuple[str, str]:
        """`value` as uint8 around `ZERO`, and one scale per index of its first axis: the largest magnitude over 127.

        `axes` are all the others; the scales keep them, with size 1.
        """
        builder = self._builder
        largest = builder.node("ReduceMax", builder.node("Abs", value), builder.integers(*axes), keepdims=1)
        scale = builder.node("Mul", builder.node("Add", largest, builder.scalar(TINY)), builder.scalar(1 / LEVELS))
        return self._rounded(value, scale, axes, ZERO), scale

    def quantize_above(self, value: str, floor: float) -> tuple[str, str, int]:
        """`value` [rows, in] of which nothing is below `floor` <= 0, as uint8, its scales [rows, 1], and its level of 0

        The levels under 0 are few and fixed, so that one operator quantises; a row whose largest element is small
        gets the scale that still reaches down to the floor.
        """
        builder = self._builder
        below = BELOW if floor < 0 else 0
        largest = builder.node("ReduceMax", value, builder.integers(1), keepdims=1)
        least = builder.scalar(max(-floor / below if below else 0.0, TINY))
        scale = builder.node("Max", builder.node("Mul", largest, builder.scalar(1 / (UNSIGNED_LEVELS - below))), least)
        return self._rounded(value, scale, (1,), below), scale, below

    def multiply(self, levels: str, columns: str, scales: Array, zero_point: int) -> str:
        """`levels` [..., in], where `zero_point` stands for 0, times int8 `columns` [in, out], times `scales` [out]."""
        builder = self._builder
        return builder.node(
            "MatMulIntegerToFloat",
            levels,
            columns,
            builder.scalar(1.0),
            builder.constant(scales),
            builder.constant(np.asarray(zero_point, dtype=np.uint8)),
            domain=MICROSOFT,
        )

    def _rounded(self, value: str, scale: str, axes: tuple[int, ...], zero_point: int) -> str:
        """QuantizeLinear along the first axis: one operator that divides, rounds, shifts and saturates."""
        builder = self._builder
        each = builder.node("Squeeze", scale, builder.integers(*axes))
        zero = builder.constant(np.asarray([zero_point], dtype=np.uint8))
        zeros = builder.node("Expand", zero, builder.node("Shape", each))
        return builder.node("QuantizeLinear", value, each, zeros, axis=0)
