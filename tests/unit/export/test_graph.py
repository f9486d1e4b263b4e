"""What a graph contains and what it must not: shapes, tensors stored once, int8."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from sidecar.bundle import Pooling, Quantization
from sidecar.export import ExportOptions, ExportReport, export_checkpoint
from sidecar.export.graph.builder import GraphBuilder
from sidecar.export.graph.integers import quantize_rows
from sidecar.export.graph.products import Int8Products, Linear
from tests.support.architectures import HIDDEN
from tests.support.vocabulary import TINY_VOCABULARY
from tests.unit.export.running import TEXTS, Graph, open_session

VOCABULARY = len(TINY_VOCABULARY)
BATCH, LENGTH = 3, 11


def largest_tensors(folder: Path, tmp_path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of every value of the graph, seen by running it with each of them as an output."""
    model = onnx.load(folder / "model.onnx")
    names = [name for node in model.graph.node for name in node.output]
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    onnx.save(model, tmp_path / "opened.onnx")
    session = open_session(tmp_path / "opened.onnx")
    ids = np.arange(BATCH * LENGTH, dtype=np.int64).reshape(BATCH, LENGTH)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    values = session.run(names, {port.name: feeds[port.name] for port in session.get_inputs()})
    return {name: np.shape(value) for name, value in zip(names, values, strict=True)}


@pytest.mark.parametrize("pooling", [Pooling.MAX, Pooling.SUM])
@pytest.mark.parametrize("quantize", list(Quantization))
def test_no_tensor_has_batch_length_and_vocabulary(
    tiny_sparse_checkpoint: Path, tmp_path: Path, pooling: Pooling, quantize: Quantization
) -> None:
    options = ExportOptions(pooling=pooling, quantize=quantize, tiles=16)
    export_checkpoint(tiny_sparse_checkpoint, tmp_path / "out", options)
    shapes = largest_tensors(tmp_path / "out", tmp_path)
    tile = -(-VOCABULARY // 16)
    per_token = [shape for shape in shapes.values() if shape[:2] == (BATCH, LENGTH)]
    assert (BATCH, LENGTH, tile) in per_token
    assert max(shape[-1] for shape in per_token) == max(HIDDEN, tile)
    assert shapes["weights"] == (BATCH, VOCABULARY)


def test_a_cross_encoders_last_layer_reads_the_first_token_only(
    tiny_cross_encoder_checkpoint: Path, tmp_path: Path
) -> None:
    export_checkpoint(tiny_cross_encoder_checkpoint, tmp_path / "out")
    shapes = largest_tensors(tmp_path / "out", tmp_path)
    gelus = [shape for name, shape in shapes.items() if name in activations(tmp_path / "out")]
    assert gelus == [(BATCH * LENGTH, 64), (BATCH, 64)]


def activations(folder: Path) -> list[str]:
    return [node.output[0] for node in onnx.load(folder / "model.onnx").graph.node if node.op_type == "Gelu"]


@pytest.mark.parametrize("quantize", list(Quantization))
def test_the_tied_table_is_stored_once(tiny_sparse_checkpoint: Path, tmp_path: Path, quantize: Quantization) -> None:
    export_checkpoint(tiny_sparse_checkpoint, tmp_path / "out", ExportOptions(quantize=quantize))
    constants = onnx.load(tmp_path / "out" / "model.onnx").graph.initializer
    wanted = TensorProto.INT8 if quantize is Quantization.INT8 else TensorProto.FLOAT
    rows = sum(c.dims[0] for c in constants if len(c.dims) == 2 and c.dims[1] == 32 and c.data_type == wanted)
    # Beside the table: position rows, and the square and feed-forward matrices that are 32 wide.
    matrices = 2 * (4 * 32 + 64) + 32
    assert VOCABULARY <= rows <= VOCABULARY + 128 + matrices < 2 * VOCABULARY + matrices


def test_an_untied_decoder_is_exported_as_it_is(tiny_sparse_checkpoint: Path, tmp_path: Path) -> None:
    untied = tmp_path / "untied"
    shutil.copytree(tiny_sparse_checkpoint, untied)
    state = load_file(untied / "model.safetensors")
    table = state["bert.embeddings.word_embeddings.weight"]
    noise = np.random.default_rng(5).normal(size=table.shape).astype(np.float32)
    state["cls.predictions.decoder.weight"] = table + 0.1 * noise
    state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"] + np.float32(0.5)
    save_file(state, untied / "model.safetensors", metadata={"format": "pt"})
    config = orjson.loads((untied / "config.json").read_bytes())
    (untied / "config.json").write_bytes(orjson.dumps({**config, "tie_word_embeddings": False}))
    for quantize in Quantization:
        report = export_checkpoint(
            tmp_path / "untied", tmp_path / quantize.value, ExportOptions(quantize=quantize, tolerance=1e-4)
        )
        assert report.largest_difference < 1e-4


def test_embedding_rows_beyond_the_tokenizer_are_cut(tiny_sparse_checkpoint: Path, tmp_path: Path) -> None:
    """Tables are padded to round numbers; a term that has no name must not get a weight."""
    from transformers import BertForMaskedLM

    model = BertForMaskedLM.from_pretrained(tiny_sparse_checkpoint)
    model.resize_token_embeddings(512, mean_resizing=False)
    model.save_pretrained(tmp_path / "padded")
    for file in tiny_sparse_checkpoint.glob("tokenizer*"):
        (tmp_path / "padded" / file.name).write_bytes(file.read_bytes())
    report = export_checkpoint(tmp_path / "padded", tmp_path / "out")
    assert report.manifest.vocabulary_size == VOCABULARY
    assert Graph(tmp_path / "out").run(TEXTS).shape == (len(TEXTS), VOCABULARY)


# --- int8 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def int8(tiny_sparse_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    out = tmp_path_factory.mktemp("int8") / "out"
    return export_checkpoint(tiny_sparse_checkpoint, out, ExportOptions(quantize=Quantization.INT8))


def test_int8_is_near_and_reported(int8: ExportReport) -> None:
    assert int8.manifest.quantization is Quantization.INT8
    assert int8.int8 is not None
    assert int8.int8.cosine is not None
    assert int8.int8.cosine > 0.99
    assert int8.fp32.largest_difference < 1e-4 < int8.int8.largest_difference
    assert "int8 graph differs" in (int8.folder / "README.md").read_text()


def test_int8_is_less_than_half_the_size(int8: ExportReport, tiny_sparse_bundle: Path) -> None:
    assert int8.graph_bytes < 0.5 * (tiny_sparse_bundle / "model.onnx").stat().st_size


def test_int8_vectors_do_not_depend_on_the_batch(int8: ExportReport) -> None:
    """One scale over a whole batch, as DynamicQuantizeLinear takes it, would fail here by .05 and more."""
    graph = Graph(int8.folder)
    alone = np.concatenate([graph.run([text]) for text in TEXTS])
    np.testing.assert_allclose(graph.run(TEXTS, length=100), alone, atol=1e-6)


@pytest.mark.parametrize("name", ["tiny_cross_encoder_checkpoint", "tiny_own_terms_checkpoint"])
def test_int8_of_the_other_heads(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    report = export_checkpoint(
        request.getfixturevalue(name), tmp_path / "out", ExportOptions(quantize=Quantization.INT8)
    )
    assert report.int8 is not None
    assert report.int8.largest_difference < 0.1 * report.int8.largest_weight


def test_int8_with_sum_pooling(tiny_sparse_checkpoint: Path, tmp_path: Path) -> None:
    options = ExportOptions(quantize=Quantization.INT8, pooling=Pooling.SUM)
    report = export_checkpoint(tiny_sparse_checkpoint, tmp_path / "out", options)
    assert report.int8 is not None
    assert report.int8.cosine is not None
    assert report.int8.cosine > 0.99


matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-50, 50, width=32)
)


@example(matrix=np.array([[1e-45]], dtype=np.float32))
@given(matrix=matrices)
def test_quantised_rows_are_within_half_a_step(matrix: np.ndarray) -> None:
    quantized = quantize_rows(matrix)
    restored = quantized.values * quantized.scales[:, None]
    assert quantized.values.min() >= -127
    assert (np.abs(restored - matrix) <= quantized.scales[:, None] * 0.5001).all()


@given(matrix=matrices)
def test_no_pair_of_products_overflows_16_bits(matrix: np.ndarray) -> None:
    """vpmaddubsw adds neighbouring products of uint8 activations and int8 weights in saturating int16."""
    levels = quantize_rows(matrix).values.astype(np.int64)
    pairs = levels[:, : levels.shape[1] // 2 * 2].reshape(len(levels), -1, 2)
    largest = 255 * np.maximum(pairs, 0).sum(axis=2)
    least = 255 * np.minimum(pairs, 0).sum(axis=2)
    assert (largest <= 2**15 - 1).all()
    assert (least >= -(2**15)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), floor=st.sampled_from([None, 0.0, -0.17]))
def test_int8_products_are_near_the_exact_ones(seed: int, floor: float | None, tmp_path_factory) -> None:
    """Error of a dot product: half a step of either factor, adding up over the inner axis at the very worst."""
    numbers = np.random.default_rng(seed)
    value = numbers.normal(size=(6, 16)).astype(np.float32)
    value = value if floor is None else np.maximum(value, floor).astype(np.float32)
    value[0] = 0.0
    weight, bias = numbers.normal(size=(5, 16)).astype(np.float32), numbers.normal(size=5).astype(np.float32)
    builder = GraphBuilder("product")
    builder._inputs.append(helper.make_tensor_value_info("value", TensorProto.FLOAT, [6, 16]))
    (product,) = Int8Products(builder).linear("value", Linear(weight, bias), floor=floor)
    builder.output("result", product, 5)
    model = builder.model()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("result", TensorProto.FLOAT, [6, 5]))
    path = tmp_path_factory.mktemp("product") / "model.onnx"
    onnx.save(model, path)
    given_result = open_session(path).run(None, {"value": value})[0]
    bound = 16 * (np.abs(value).max() / 127 * np.abs(weight).max() + np.abs(value).max() * np.abs(weight).max() / 127)
    assert np.abs(given_result - (value @ weight.T + bias)).max() < bound
    np.testing.assert_allclose(given_result, value @ weight.T + bias, atol=0.25)
