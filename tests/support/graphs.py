"""Small ONNX graphs and tokenizers as other people's tools would have left them, made without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.vocabulary import TINY_VOCABULARY

__all__ = ["TABLE", "score_graph", "sparse_graph", "tiny_tokenizer_file", "write_graph"]

SIZE = len(TINY_VOCABULARY)


def _table() -> np.ndarray:
    """Logits [token read, term]: a token gives its own term much and a few others something."""
    generator = np.random.default_rng(7)
    table = generator.normal(-2.0, 1.0, (SIZE, SIZE)).astype(np.float32)
    table[np.arange(SIZE), np.arange(SIZE)] = 2.0 + generator.random(SIZE, dtype=np.float32)
    return table


TABLE = _table()


def tiny_tokenizer_file(folder: Path) -> Path:
    """Write a BERT-like tokenizer.json over TINY_VOCABULARY."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    ids = {piece: index for index, piece in enumerate(TINY_VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    outputs: dict[str, Sequence[str | int]],
    constants: dict[str, np.ndarray],
    *,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    input_type: int = TensorProto.INT64,
    shape: Sequence[str | int] = ("batch", "length"),
) -> Path:
    """Write a checked model with float outputs to `path`."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(name, input_type, list(shape)) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def sparse_graph(
    path: Path,
    *,
    output: str = "weights",
    table: np.ndarray = TABLE,
    masked: bool = True,
    activated: bool = True,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    more_outputs: bool = False,
) -> Path:
    """A sparse encoder by table look-up; `output` is weights, token_weights or token_logits."""
    ids, mask = inputs[0], inputs[1] if len(inputs) > 1 else None
    make = helper.make_node
    constants = {
        "table": table if output != "token_weights" else np.ascontiguousarray(np.diagonal(table)),
        "one": np.array(1.0, dtype=np.float32),
        "low": np.array(-100.0, dtype=np.float32),
    }
    nodes = [make("Gather", ["table", ids], ["logits"])]
    last = "logits"
    if mask and masked:
        nodes += [make("Cast", [mask], ["mask_float"], to=TensorProto.FLOAT)]
        nodes += [make("Sub", ["one", "mask_float"], ["padding"]), make("Mul", ["padding", "low"], ["penalty"])]
        if output == "token_weights":
            nodes += [make("Add", [last, "penalty"], ["masked"])]
        else:
            constants["axis"] = np.array([2], dtype=np.int64)
            nodes += [make("Unsqueeze", ["penalty", "axis"], ["column"]), make("Add", [last, "column"], ["masked"])]
        last = "masked"
    shape: Sequence[str | int] = ("batch", "length")
    if output == "token_logits":
        shape = ("batch", "length", table.shape[1])
        nodes += [make("Identity", [last], [output])]
    else:
        if output == "weights":
            shape = ("batch", table.shape[1])
            nodes += [make("ReduceMax", [last], ["pooled"], axes=[1], keepdims=0)]
            last = "pooled"
        if activated:
            nodes += [make("Relu", [last], ["positive"]), make("Add", ["positive", "one"], ["shifted"])]
            nodes += [make("Log", ["shifted"], [output])]
        else:
            nodes += [make("Identity", [last], [output])]
    outputs: dict[str, Sequence[str | int]] = {output: shape}
    if more_outputs:
        nodes += [make("Identity", ["logits"], ["hidden"])]
        outputs["hidden"] = ("batch", "length", table.shape[1])
    return write_graph(path, nodes, outputs, constants, inputs=inputs)


def score_graph(path: Path, *, labels: int = 1, output: str = "logits") -> Path:
    """A cross-encoder that adds up one number per token and label, token types counting as well."""
    make = helper.make_node
    generator = np.random.default_rng(11)
    constants = {
        "table": generator.normal(0.0, 1.0, (SIZE, labels)).astype(np.float32),
        "types": generator.normal(0.0, 1.0, (2, labels)).astype(np.float32),
        "axis": np.array([2], dtype=np.int64),
        "one": np.array([1], dtype=np.int64),
    }
    nodes = [
        make("Gather", ["table", "input_ids"], ["tokens"]),
        make("Gather", ["types", "token_type_ids"], ["segments"]),
        make("Add", ["tokens", "segments"], ["both"]),
        make("Cast", ["attention_mask"], ["mask_float"], to=TensorProto.FLOAT),
        make("Unsqueeze", ["mask_float", "axis"], ["column"]),
        make("Mul", ["both", "column"], ["masked"]),
        make("ReduceSum", ["masked", "one"], [output], keepdims=0),
    ]
    return write_graph(
        path, nodes, {output: ("batch", labels)}, constants, inputs=("input_ids", "attention_mask", "token_type_ids")
    )


def graph_of_type(path: Path, input_type: int) -> Path:
    """A graph of logits whose `input_ids` are of that type."""
    make = helper.make_node
    nodes = [
        make("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
        make("Gather", ["table", "ids"], ["logits"]),
    ]
    shape = {"logits": ("batch", "length", SIZE)}
    return write_graph(path, nodes, shape, {"table": TABLE}, inputs=("input_ids",), input_type=input_type)
