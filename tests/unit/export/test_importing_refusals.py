"""What an import refuses, and what it remarks upon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from sidecar.errors import UnsupportedCheckpoint
from sidecar.export.importing import ImportOptions, import_onnx
from tests.support.graphs import SIZE, TABLE, graph_of_type, score_graph, sparse_graph, write_graph


def test_three_logits_are_no_score(tmp_path: Path, cross: ImportOptions):
    with pytest.raises(UnsupportedCheckpoint, match="no cross-encoder's output"):
        import_onnx(score_graph(tmp_path / "m.onnx", labels=3), tmp_path / "out", cross)


def test_a_score_is_no_sparse_encoder(tmp_path: Path, options: ImportOptions):
    with pytest.raises(UnsupportedCheckpoint, match=r"negative weights|do not belong together"):
        import_onnx(score_graph(tmp_path / "m.onnx"), tmp_path / "out", options)


def test_logits_that_were_never_activated(tmp_path: Path, options: ImportOptions):
    with pytest.raises(UnsupportedCheckpoint, match="negative weights"):
        import_onnx(sparse_graph(tmp_path / "m.onnx", activated=False), tmp_path / "out", options)


def test_values_that_are_not_finite(tmp_path: Path, options: ImportOptions):
    broken = TABLE.copy()
    broken[:, 5] = np.nan
    with pytest.raises(UnsupportedCheckpoint, match="not finite"):
        import_onnx(sparse_graph(tmp_path / "m.onnx", table=broken), tmp_path / "out", options)


def test_weights_that_are_all_zero(tmp_path: Path, options: ImportOptions):
    silent = np.full_like(TABLE, -1.0)
    with pytest.raises(UnsupportedCheckpoint, match="no weight above zero"):
        import_onnx(sparse_graph(tmp_path / "m.onnx", table=silent), tmp_path / "out", options)


def test_a_dense_output_is_remarked_upon(tmp_path: Path, options: ImportOptions):
    dense = np.abs(TABLE)
    report = import_onnx(sparse_graph(tmp_path / "m.onnx", table=dense), tmp_path / "out", options)
    assert "no sparse encoder" in report.warnings[0]


def test_a_graph_that_does_not_mask_padding_is_remarked_upon(tmp_path: Path, options: ImportOptions):
    table = TABLE.copy()
    table[0] = 5.0
    nodes_without_mask = sparse_graph(tmp_path / "m.onnx", table=table, inputs=("input_ids",))
    report = import_onnx(nodes_without_mask, tmp_path / "out", options)
    assert any("Padding a text changes its result" in warning for warning in report.warnings)
    assert any("no attention mask" in warning for warning in report.warnings)


def test_a_tokenizer_of_another_model(tmp_path: Path, options: ImportOptions):
    narrow = TABLE[:, : SIZE // 2]
    with pytest.raises(UnsupportedCheckpoint, match="do not belong together"):
        import_onnx(sparse_graph(tmp_path / "m.onnx", table=narrow), tmp_path / "out", options)


def test_more_weights_than_tokens_are_remarked_upon(tmp_path: Path, options: ImportOptions):
    wide = np.pad(TABLE, ((0, 0), (0, 6)), constant_values=-1.0)
    report = import_onnx(sparse_graph(tmp_path / "m.onnx", table=wide), tmp_path / "out", options)
    assert report.manifest.vocabulary_size == SIZE + 6
    assert "6 more terms" in report.warnings[0]


def test_a_graph_with_a_fixed_batch(tmp_path: Path, options: ImportOptions):
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["logits"])]
    graph = write_graph(
        tmp_path / "m.onnx",
        nodes,
        {"logits": (1, 16, SIZE)},
        {"table": TABLE},
        inputs=("input_ids",),
        shape=(1, 16),
    )
    with pytest.raises(UnsupportedCheckpoint, match="does not run on a batch of shape"):
        import_onnx(graph, tmp_path / "out", options)


def test_a_graph_that_is_too_short_for_the_maximum(tmp_path: Path, options: ImportOptions):
    positions = np.zeros((48, SIZE), dtype=np.float32)
    make = helper.make_node
    nodes = [
        make("Gather", ["table", "input_ids"], ["tokens"]),
        make("Shape", ["input_ids"], ["length"], start=1, end=2),
        make("Squeeze", ["length"], ["scalar"]),
        make("Range", ["zero", "scalar", "step"], ["places"]),
        make("Gather", ["positions", "places"], ["offsets"]),
        make("Add", ["tokens", "offsets"], ["logits"]),
    ]
    constants = {
        "table": TABLE,
        "positions": positions,
        "zero": np.array(0, dtype=np.int64),
        "step": np.array(1, dtype=np.int64),
    }
    shape = {"logits": ("batch", "length", SIZE)}
    graph = write_graph(tmp_path / "m.onnx", nodes, shape, constants, inputs=("input_ids",))
    with pytest.raises(UnsupportedCheckpoint, match="shorter than 64 tokens: set the maximum lower"):
        import_onnx(graph, tmp_path / "out", options)
    assert import_onnx(graph, tmp_path / "out", replace(options, max_tokens=48)).manifest.max_tokens == 48


def test_inputs_that_nobody_would_feed(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx", inputs=("input_ids", "attention_mask", "image"))
    with pytest.raises(UnsupportedCheckpoint, match="wants inputs that a sidecar does not have: image"):
        import_onnx(graph, tmp_path / "out", options)


def test_inputs_that_take_no_integers(tmp_path: Path, options: ImportOptions):
    with pytest.raises(UnsupportedCheckpoint, match="must be int64 or int32: input_ids"):
        import_onnx(graph_of_type(tmp_path / "m.onnx", TensorProto.FLOAT), tmp_path / "out", options)
