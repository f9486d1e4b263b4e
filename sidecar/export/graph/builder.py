"""A thin layer over onnx.helper: nodes that name their own outputs, constants stored once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sidecar import __version__

Attribute: TypeAlias = int | float | str | Sequence[int]

__all__ = ["GraphBuilder"]

OPSET = 20
"""ONNX operator set: the first with Gelu as one operator."""

IR_VERSION = 9

SMALL = 64
"""Elements up to which constants are compared by content."""

LARGEST_PROTOBUF = 1_900_000_000
"""Bytes of weights above which they go to a file of their own: protobuf ends at 2 GiB."""


class GraphBuilder:
    """Collects nodes and constants; `save` writes the model.

    Values are named by strings, as in ONNX. Small constants of equal content share one tensor.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes] | None, str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input_tokens(self, name: str) -> str:
        """Declare an int64 input [batch, length]."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]))
        return name

    def output(self, name: str, value: str, columns: int | str, rows: str = "batch") -> None:
        """Name `value`, a float32 tensor [rows, columns], as an output."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, columns]))

    def constant(self, values: NDArray[np.generic]) -> str:
        """Store a tensor and return its name."""
        array = np.ascontiguousarray(values).reshape(values.shape)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= SMALL else None
        if key in self._known:
            return self._known[key]
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        if key is not None:
            self._known[key] = name
        return name

    def integers(self, *values: int) -> str:
        """Store a vector of int64: axes, shapes, bounds."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def scalar(self, value: float) -> str:
        """Store a float32 scalar."""
        return self.constant(np.asarray(value, dtype=np.float32))

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """Add a node of one output and return that output's name. An empty input name leaves an optional one out."""
        return self.nodes(operator, *inputs, outputs=1, domain=domain, **attributes)[0]

    def nodes(
        self,
        operator: str,
        *inputs: str,
        outputs: int,
        domain: str = "",
        **attributes: Attribute,
    ) -> list[str]:
        """Add a node of several outputs and return their names."""
        number = len(self._nodes)
        names = [f"v{number}" if outputs == 1 else f"v{number}_{index}" for index in range(outputs)]
        made = helper.make_node(operator, list(inputs), names, name=f"{operator}_{number}", domain=domain)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes.append(made)
        return names

    def model(self) -> onnx.ModelProto:
        """Return the finished model, checked against the operators' schemas."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, producer_name="splade-sidecar", producer_version=__version__
        )
        model.ir_version = IR_VERSION
        return model

    def save(self, path: Path) -> None:
        """Write the model; weights beyond protobuf's limit go to `<name>.data` beside it."""
        model = self.model()
        large = sum(len(tensor.raw_data) for tensor in self._constants) > LARGEST_PROTOBUF
        onnx.save_model(model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None)
