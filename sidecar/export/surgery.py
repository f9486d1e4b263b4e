"""Small changes to a foreign graph that leave its weights alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.bundle.names import is_inside
from sidecar.errors import UnsupportedCheckpoint

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto

__all__ = ["copy_graph", "difference_of_two_logits"]

SCORE = "sidecar_score"


def copy_graph(model: Path, target: Path) -> None:
    """Copy a graph with the files of its external weights, which lie beside it under the names it gives.

    Raises UnsupportedCheckpoint for a file that is no ONNX, or whose weights are missing or elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(str(model), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise UnsupportedCheckpoint(f"{model} is no ONNX file: {error}.") from error
    shutil.copyfile(model, target)
    for location in sorted(set(_external_files(proto.graph))):
        if not is_inside(location) or not (model.parent / location).is_file():
            raise UnsupportedCheckpoint(f"The graph's weights {location!r} do not lie beside {model}.")
        copy = target.parent / location
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model.parent / location, copy)


def difference_of_two_logits(graph: Path, output: str) -> str:
    """Append `output[:, 1] - output[:, 0]`, shape [batch, 1], in place; return the new output's name.

    The sigmoid of the difference is the softmax of two logits at the second: one number that says the same.
    """
    import onnx
    from onnx import TensorProto, helper

    proto = onnx.load(str(graph), load_external_data=False)
    (old,) = (port for port in proto.graph.output if port.name == output)
    columns = [helper.make_tensor(f"{SCORE}_{index}", TensorProto.INT64, [1], [index]) for index in (0, 1)]
    proto.graph.initializer.extend(columns)
    for index in (0, 1):
        proto.graph.node.append(
            helper.make_node("Gather", [output, f"{SCORE}_{index}"], [f"{SCORE}_column_{index}"], axis=1)
        )
    proto.graph.node.append(helper.make_node("Sub", [f"{SCORE}_column_1", f"{SCORE}_column_0"], [SCORE]))
    proto.graph.output.append(helper.make_tensor_value_info(SCORE, old.type.tensor_type.elem_type, [None, 1]))
    graph.write_bytes(proto.SerializeToString())
    return SCORE


def _external_files(graph: GraphProto) -> Iterator[str]:
    for tensor in _tensors(graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                yield entry.value


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
