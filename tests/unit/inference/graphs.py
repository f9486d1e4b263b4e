"""Bundles whose graphs are a few lines of arithmetic, so that tests know every number they give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import orjson
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from sidecar.bundle import Bundle, ManifestDraft, write_bundle

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(f"w{number}" for number in range(59))
TERMS = (*SPECIALS, *WORDS)
SIZE = len(TERMS)


def term_id(word: str) -> int:
    return TERMS.index(word)


def table(seed: int = 7) -> np.ndarray:
    """[SIZE, SIZE] logits: what each token says for each term; the same for every test."""
    return np.random.default_rng(seed).normal(0.0, 1.5, (SIZE, SIZE)).astype(np.float32)


def expected_weights(ids: Sequence[int], matrix: np.ndarray) -> np.ndarray:
    """log1p(relu(max over positions)), the arithmetic of `sparse_graph`, in float64."""
    return np.log1p(np.maximum(matrix[list(ids)].astype(np.float64).max(axis=0), 0.0))


def write_tokenizer(path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({term: number for number, term in enumerate(TERMS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(path))


def _save(path: Path, nodes: list, inputs: Sequence[str], output: str, shape: list, constants: dict) -> None:
    graph = helper.make_graph(
        nodes,
        "arithmetic",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def sparse_graph(path: Path, matrix: np.ndarray, *, kind: str = "weights") -> None:
    """`weights`: log1p(relu(max(table[ids]))); `token_logits`: table[ids]; `token_weights`: relu(table[ids][0])."""
    constants: dict = {"table": matrix, "last": np.array([2], np.int64), "one": np.float32(1), "far": np.float32(1e4)}
    gather = [
        helper.make_node("Gather", ["table", "input_ids"], ["logits"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Sub", ["one", "mask3"], ["off"]),
        helper.make_node("Mul", ["off", "far"], ["penalty"]),
        helper.make_node("Sub", ["logits", "penalty"], ["masked"]),
    ]
    inputs = ("input_ids", "attention_mask")
    if kind == "token_logits":
        _save(path, gather, inputs, "masked", ["batch", "length", SIZE], constants)
        return
    if kind == "token_weights":
        constants["table"] = matrix[:, 0].copy()
        nodes = [
            helper.make_node("Gather", ["table", "input_ids"], ["logits"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Relu", ["logits"], ["positive"]),
            helper.make_node("Mul", ["positive", "mask"], ["token_weights"]),
        ]
        for unused in ("last", "one", "far"):
            del constants[unused]
        _save(path, nodes, inputs, "token_weights", ["batch", "length"], constants)
        return
    nodes = [
        *gather,
        helper.make_node("ReduceMax", ["masked"], ["pooled"], axes=[1], keepdims=0),
        helper.make_node("Relu", ["pooled"], ["positive"]),
        helper.make_node("Add", ["positive", "one"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["weights"]),
    ]
    _save(path, nodes, inputs, "weights", ["batch", SIZE], constants)


def score_graph(path: Path, worth: np.ndarray, *, typed: bool) -> None:
    """logit = sum of worth[id], over the tokens of type 1 where `typed`, over all unmasked ones where not."""
    inputs = ("input_ids", "attention_mask", "token_type_ids") if typed else ("input_ids", "attention_mask")
    nodes = [
        helper.make_node("Gather", ["worth", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["each", "mask"], ["seen"]),
    ]
    counted = "seen"
    if typed:
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["seen", "types"], ["second"]),
        ]
        counted = "second"
    nodes.append(helper.make_node("ReduceSum", [counted, "axes"], ["logits"], keepdims=1))
    constants = {"worth": worth.astype(np.float32), "axes": np.array([1], np.int64)}
    _save(path, nodes, inputs, "logits", ["batch", 1], constants)


def sparse_bundle(
    folder: Path,
    *,
    name: str = "arithmetic-sparse",
    kind: str = "weights",
    matrix: np.ndarray | None = None,
    query_weights: dict[str, float] | None = None,
    folds: dict[str, str | None] | None = None,
    **manifest: object,
) -> Bundle:
    """Write and open a sparse encoder; `manifest` overrides the defaults below."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder / "tokenizer.json")
    graph: dict | None = None
    if kind != "none":
        sparse_graph(folder / "model.onnx", table() if matrix is None else matrix, kind=kind)
        outputs = {"weights": "weights", "token_logits": "masked", "token_weights": "token_weights"}
        graph = {"output": outputs[kind], "output_kind": kind}
    if query_weights is not None:
        (folder / "query_weights.json").write_bytes(orjson.dumps(query_weights))
    if folds is not None:
        (folder / "folds.json").write_bytes(orjson.dumps(folds))
    values: dict = {
        "name": name,
        "kind": "sparse-encoder",
        "license": "Apache-2.0",
        "source": "made by the tests",
        "max_tokens": 16,
        "vocabulary_size": SIZE,
        "pooling": "max",
        "activation": "log1p_relu",
        "expansion": "own-terms" if kind == "token_weights" else "vocabulary",
        "query_mode": "neural" if query_weights is None else "idf",
        "missing_idf": None if query_weights is None else 1.0,
        "special_tokens": "drop_all",
        "graph": graph,
        **manifest,
    }
    write_bundle(folder, ManifestDraft.model_validate(values))
    return Bundle.open(folder)


def cross_bundle(
    folder: Path,
    *,
    name: str = "arithmetic-cross",
    worth: np.ndarray | None = None,
    typed: bool = True,
    **manifest: object,
) -> Bundle:
    """Write and open a cross-encoder; the default worth of a token is its id / 100."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder / "tokenizer.json")
    score_graph(folder / "model.onnx", np.arange(SIZE) / 100 if worth is None else worth, typed=typed)
    values: dict = {
        "name": name,
        "kind": "cross-encoder",
        "license": "Apache-2.0",
        "source": "made by the tests",
        "max_tokens": 16,
        "vocabulary_size": SIZE,
        "score_activation": "sigmoid",
        "graph": {
            "token_type_ids": "token_type_ids" if typed else None,
            "output": "logits",
            "output_kind": "score_logits",
        },
        **manifest,
    }
    write_bundle(folder, ManifestDraft.model_validate(values))
    return Bundle.open(folder)


def expected(text: str) -> dict[str, float]:
    ids = [2, *[term_id(word) for word in text.split()][:14], 3]
    weights = expected_weights(ids, table())
    return {TERMS[number]: weight for number, weight in enumerate(weights) if weight > 0 and number >= len(SPECIALS)}


def close_to(weights: dict[str, float]) -> dict[str, object]:
    return {term: pytest.approx(weight, rel=1e-4) for term, weight in weights.items()}
