"""Word embeddings, and the decoder to the vocabulary in tiles; where the two are tied they are stored once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from sidecar.export.checkpoint.weights import Array
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.integers import ZERO, Quantizer, quantize_rows

__all__ = ["Columns", "Decoder", "Float32Vocabulary", "HeadInput", "Int8Vocabulary", "Vocabulary"]

Columns = NDArray[np.int64]
"""Numbers of vocabulary entries, ascending."""


@dataclass(frozen=True, slots=True)
class HeadInput:
    """What a vocabulary tile multiplies: `value` [batch, length, hidden], and `scale` [batch, 1, 1] or None.

    A tile's logits are its product times the scale. The scale is > 0, so a maximum may be taken before it is applied.
    """

    value: str
    scale: str | None


@dataclass(frozen=True, slots=True)
class Decoder:
    """`weight` [vocabulary, hidden], None where tied to the embeddings; only the `live` entries are decoded to.

    `live` None means all of them. `tiles` is how many pieces the product is cut into.
    """

    weight: Array | None = None
    live: Columns | None = None
    tiles: int = 1


class Vocabulary(Protocol):
    """Word embeddings, and the decoder to the vocabulary, tile by tile."""

    def rows(self, ids: str) -> str:
        """Embeddings [batch, length, hidden] of `ids` [batch, length]."""
        ...

    def prepare(self, value: str) -> HeadInput:
        """Bring `value` [batch, length, hidden] into the form that tiles multiply."""
        ...

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        """For each tile: its product [batch, length, columns] without scale and bias, and which live entries it has."""
        ...


class _Pieces:
    """The decoder's rows in tiles [columns, hidden]: out of the embeddings' table, or `own` ones.

    What only shapes constants (Concat, Gather, Transpose) is folded when the graph is loaded.
    """

    def __init__(
        self, builder: GraphBuilder, table: NDArray[np.generic], own: NDArray[np.generic] | None, decoder: Decoder
    ) -> None:
        self._builder = builder
        self.bounds = _bounds(len(table) if decoder.live is None else len(decoder.live), decoder.tiles)
        if own is not None:
            self.table = builder.constant(table)
            self._tiles = [builder.constant(own[bound]) for bound in self.bounds]
        elif decoder.live is None:
            self._tiles = [builder.constant(table[bound]) for bound in self.bounds]
            self.table = builder.node("Concat", *self._tiles, axis=0)
        else:
            self.table = builder.constant(table)
            chosen = [builder.constant(decoder.live[bound]) for bound in self.bounds]
            self._tiles = [builder.node("Gather", self.table, rows, axis=0) for rows in chosen]

    def columns(self) -> Iterator[tuple[str, slice]]:
        """Each tile [hidden, columns], and which rows it has."""
        for tile, bound in zip(self._tiles, self.bounds, strict=True):
            yield self._builder.node("Transpose", tile, perm=[1, 0]), bound


class Float32Vocabulary:
    """In float32."""

    def __init__(self, builder: GraphBuilder, table: Array, decoder: Decoder) -> None:
        self._builder = builder
        own = None if decoder.weight is None else _live(decoder.weight, decoder.live)
        self._pieces = _Pieces(builder, table, own, decoder)

    def rows(self, ids: str) -> str:
        return self._builder.node("Gather", self._pieces.table, ids)

    def prepare(self, value: str) -> HeadInput:
        return HeadInput(value, None)

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        for columns, bound in self._pieces.columns():
            yield self._builder.node("MatMul", prepared.value, columns), bound


class Int8Vocabulary:
    """In int8: embeddings with a scale per entry, which the decoder shares where the two are tied."""

    def __init__(self, builder: GraphBuilder, table: Array, decoder: Decoder) -> None:
        self._builder = builder
        self._quantizer = Quantizer(builder)
        embeddings = quantize_rows(table)
        own = None if decoder.weight is None else quantize_rows(_live(decoder.weight, decoder.live))
        self._pieces = _Pieces(builder, embeddings.values, None if own is None else own.values, decoder)
        self._decoder_scales = _live(embeddings.scales, decoder.live) if own is None else own.scales
        self._scales = builder.constant(embeddings.scales[:, None])

    def rows(self, ids: str) -> str:
        builder = self._builder
        levels = builder.node("Cast", builder.node("Gather", self._pieces.table, ids), to=TensorProto.FLOAT)
        return builder.node("Mul", levels, builder.node("Gather", self._scales, ids))

    def prepare(self, value: str) -> HeadInput:
        levels, scale = self._quantizer.quantize(value, axes=(1, 2))
        return HeadInput(levels, scale)

    def tiles(self, prepared: HeadInput) -> Iterator[tuple[str, slice]]:
        for columns, bound in self._pieces.columns():
            yield self._quantizer.multiply(prepared.value, columns, self._decoder_scales[bound], ZERO), bound


def _bounds(rows: int, tiles: int) -> list[slice]:
    width = -(-rows // tiles)
    return [slice(start, min(start + width, rows)) for start in range(0, rows, width)]


def _live(rows: Array, live: Columns | None) -> Array:
    return rows if live is None else rows[live]
