"""Vocabulary entries that can't have a weight are left out of the products, and of nothing else."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from benchmarks.checkpoints import find_checkpoint
from sidecar.bundle import Bundle, Pooling, Quantization
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.export.checkpoint.architecture import Body, Family, HiddenActivation
from sidecar.export.checkpoint.weights import Weights
from sidecar.export.graph.heads import read_masked_lm_head
from tests.support.vocabulary import TINY_VOCABULARY
from tests.unit.export.running import TEXTS, Graph

VOCABULARY = len(TINY_VOCABULARY)
BIAS = "cls.predictions.bias"
NEVER = -1e4


@pytest.fixture(scope="module")
def closed() -> np.ndarray:
    """Entries that are closed: two of three, the first and the last among the open ones."""
    numbers = np.arange(VOCABULARY)
    return numbers[(numbers % 3 != 0) & (numbers != VOCABULARY - 1)]


@pytest.fixture(scope="module")
def checkpoint(tiny_sparse_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, closed: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("closed") / "checkpoint"
    shutil.copytree(tiny_sparse_checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    for name in (BIAS, "cls.predictions.decoder.bias"):
        if name in state:
            state[name][closed] = NEVER
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("pooling", [Pooling.MAX, Pooling.SUM])
@pytest.mark.parametrize("quantize", list(Quantization))
def test_closed_entries_are_zero_and_the_others_as_before(
    checkpoint: Path,
    tiny_sparse_checkpoint: Path,
    tmp_path: Path,
    closed: np.ndarray,
    pooling: Pooling,
    quantize: Quantization,
) -> None:
    options = ExportOptions(pooling=pooling, quantize=quantize)
    # The exporter compares with the checkpoint in torch, entry by entry.
    export_checkpoint(checkpoint, tmp_path / "closed", options)
    export_checkpoint(tiny_sparse_checkpoint, tmp_path / "open", options)
    found, before = Graph(tmp_path / "closed").run(TEXTS), Graph(tmp_path / "open").run(TEXTS)
    assert found.shape == (len(TEXTS), VOCABULARY)
    assert (found[:, closed] == 0.0).all()
    others = np.setdiff1d(np.arange(VOCABULARY), closed)
    assert (before[:, others] > 0.0).any()
    np.testing.assert_allclose(found[:, others], before[:, others], atol=1e-5)


@pytest.mark.parametrize("quantize", list(Quantization))
def test_the_decoder_multiplies_by_open_entries_only(
    checkpoint: Path, tmp_path: Path, closed: np.ndarray, quantize: Quantization
) -> None:
    export_checkpoint(checkpoint, tmp_path / "out", ExportOptions(quantize=quantize, tiles=16))
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    tiles = [
        constants[makers[makers[node.input[1]].input[0]].input[1]]
        for node in graph.node
        if node.op_type in ("MatMul", "MatMulIntegerToFloat")
        and node.input[1] in makers
        and makers[node.input[1]].op_type == "Transpose"
        and makers[makers[node.input[1]].input[0]].op_type == "Gather"
    ]
    assert np.concatenate(tiles).tolist() == np.setdiff1d(np.arange(VOCABULARY), closed).tolist()
    # Tiles stay as wide as they would be without: a third of the entries takes a third of the tiles.
    assert len(tiles) == 6


def test_an_entry_whose_bias_is_low_and_that_is_reached_all_the_same_stays(
    tiny_sparse_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "low"
    shutil.copytree(tiny_sparse_checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    state[BIAS] = state[BIAS] - np.float32(1.0)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    export_checkpoint(folder, tmp_path / "out")
    # The export above has compared every weight with the checkpoint's.
    assert (Graph(tmp_path / "out").run(TEXTS) > 0.0).any()


def test_all_entries_closed_still_make_a_graph(tiny_sparse_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    shutil.copytree(tiny_sparse_checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    for name in (BIAS, "cls.predictions.decoder.bias"):
        if name in state:
            state[name] = np.full_like(state[name], NEVER)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    export_checkpoint(folder, tmp_path / "out")
    assert (Graph(tmp_path / "out").run(TEXTS) == 0.0).all()


def test_a_bundle_with_closed_entries_goes_back_to_a_checkpoint(
    checkpoint: Path, tmp_path: Path, closed: np.ndarray
) -> None:
    options = ExportOptions(name="tiny", license="MIT", source="the tests", quantize=Quantization.INT8)
    export_checkpoint(checkpoint, tmp_path / "bundle", options)
    found = find_checkpoint(Bundle.open(tmp_path / "bundle"), None, tmp_path / "work")
    mine, original = load_file(found.folder / "model.safetensors"), load_file(checkpoint / "model.safetensors")
    np.testing.assert_allclose(mine[BIAS], original[BIAS], atol=1e-5)
    table = "bert.embeddings.word_embeddings.weight"
    np.testing.assert_allclose(mine[table], original[table][:VOCABULARY], atol=0.03)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-6.0, 1.0, width=32))
def test_no_entry_that_some_state_reaches_is_left_out(seed: int, shift: float) -> None:
    """Whatever LayerNorm gives, entries outside of `live` have logits of at most 0."""
    numbers = np.random.default_rng(seed)
    hidden, vocabulary = 8, 12
    state = {
        "cls.predictions.transform.LayerNorm.weight": numbers.normal(size=hidden).astype(np.float32),
        "cls.predictions.transform.LayerNorm.bias": numbers.normal(size=hidden).astype(np.float32),
        BIAS: (numbers.normal(size=vocabulary) * 3 + shift).astype(np.float32),
    }
    table = numbers.normal(size=(vocabulary, hidden)).astype(np.float32)
    head = read_masked_lm_head(
        tiny_body(vocabulary, hidden),
        Weights({name: partial(state.__getitem__, name) for name in state}),
        table,
        tied=True,
    )
    raw = numbers.normal(size=(500, hidden)) ** 3
    centred = raw - raw.mean(axis=1, keepdims=True)
    normal = centred / centred.std(axis=1, keepdims=True)
    scale, offset = (state[f"cls.predictions.transform.LayerNorm.{part}"] for part in ("weight", "bias"))
    logits = (normal * scale + offset) @ table.T + state[BIAS]
    reached = np.flatnonzero((logits > 1e-4).any(axis=0))
    assert head.live is None or set(reached) <= set(head.live.tolist())


def tiny_body(vocabulary: int, hidden: int) -> Body:
    return Body(
        family=Family.BERT,
        layers=1,
        heads=2,
        hidden=hidden,
        vocabulary=vocabulary,
        positions=16,
        first_position=0,
        token_types=2,
        epsilon=1e-12,
        activation=HiddenActivation.GELU,
    )
