"""Ready ONNX files become bundles when they are what a sidecar can serve, and are refused when they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sidecar.bundle import Bundle, Expansion, QueryMode, ScoreActivation
from sidecar.domain import ModelKind
from sidecar.errors import ExportError, InvalidInput, ManifestInvalid, UnsupportedCheckpoint
from sidecar.export.importing import ImportOptions, import_onnx
from sidecar.export.ports import PortNames
from tests.support.graphs import SIZE, TABLE, graph_of_type, score_graph, sparse_graph, write_graph
from tests.support.vocabulary import TINY_VOCABULARY


def test_weights_become_a_neural_bundle(tmp_path: Path, options: ImportOptions):
    report = import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", options)
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.manifest == report.manifest
    assert bundle.manifest.graph is not None
    assert bundle.manifest.graph.output_kind == "weights"
    assert bundle.manifest.graph.token_type_ids is None
    assert bundle.manifest.query_mode is QueryMode.NEURAL
    assert bundle.manifest.expansion is Expansion.VOCABULARY
    assert bundle.manifest.vocabulary_size == SIZE
    assert bundle.manifest.source == "imported from m.onnx"
    assert set(bundle.manifest.files) == {"model.onnx", "tokenizer.json", "README.md"}
    assert report.warnings == ()


def test_the_imported_graph_is_the_one_that_was_given(tmp_path: Path, options: ImportOptions):
    import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", options)
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_query_weights_make_it_inference_free(tmp_path: Path, options: ImportOptions):
    idf = tmp_path / "idf.json"
    idf.write_text(json.dumps({"water": 3.5, "the": 0.25, "unheard-of": 7}))
    report = import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", replace(options, query_weights=idf))
    assert report.manifest.query_mode is QueryMode.IDF
    assert report.manifest.missing_idf == 1.0
    assert json.loads((tmp_path / "out" / "query_weights.json").read_text())["water"] == 3.5


def test_token_weights_are_own_terms(tmp_path: Path, options: ImportOptions):
    report = import_onnx(sparse_graph(tmp_path / "m.onnx", output="token_weights"), tmp_path / "out", options)
    assert report.manifest.expansion is Expansion.OWN_TERMS
    assert report.manifest.graph is not None
    assert report.manifest.graph.output_kind == "token_weights"
    assert report.manifest.vocabulary_size == SIZE


def test_token_logits_are_taken_with_a_warning_about_memory(tmp_path: Path, options: ImportOptions):
    report = import_onnx(sparse_graph(tmp_path / "m.onnx", output="token_logits"), tmp_path / "out", options)
    assert report.manifest.graph is not None
    assert report.manifest.graph.output_kind == "token_logits"
    assert len(report.warnings) == 1
    assert "MB" in report.warnings[0]


def test_other_names_for_the_ports_are_found(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx", inputs=("ids", "padding_mask"))
    ports = import_onnx(graph, tmp_path / "out", options).manifest.graph
    assert ports is not None
    assert (ports.input_ids, ports.attention_mask, ports.output) == ("ids", "padding_mask", "weights")


def test_names_that_nothing_suggests_can_be_given(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx", inputs=("x", "y"))
    with pytest.raises(UnsupportedCheckpoint, match="No input of the graph looks like input ids: x, y"):
        import_onnx(graph, tmp_path / "out", options)
    names = PortNames(input_ids="x", attention_mask="y")
    ports = import_onnx(graph, tmp_path / "out", replace(options, ports=names)).manifest.graph
    assert ports is not None
    assert (ports.input_ids, ports.attention_mask) == ("x", "y")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (PortNames(input_ids="nope"), "no input 'nope'"),
        (PortNames(output="nope"), "no output 'nope'"),
        (PortNames(output_kind="token_logits"), "that is no token_logits"),
    ],
)
def test_names_that_are_wrong(tmp_path: Path, options: ImportOptions, names: PortNames, message: str):
    with pytest.raises(UnsupportedCheckpoint, match=message):
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", replace(options, ports=names))


def test_of_several_outputs_the_usual_name_is_taken(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx", more_outputs=True)
    ports = import_onnx(graph, tmp_path / "out", options).manifest.graph
    assert ports is not None
    assert ports.output == "weights"


def test_of_several_outputs_one_must_be_named(tmp_path: Path, options: ImportOptions):
    nodes = [helper.make_node("Gather", ["table", "input_ids"], [name]) for name in ("a", "b")]
    shape = ("batch", "length", SIZE)
    graph = write_graph(tmp_path / "m.onnx", nodes, {"a": shape, "b": shape}, {"table": TABLE}, inputs=("input_ids",))
    with pytest.raises(UnsupportedCheckpoint, match="several outputs: a, b"):
        import_onnx(graph, tmp_path / "out", options)
    named = replace(options, ports=PortNames(output="b"))
    ports = import_onnx(graph, tmp_path / "out", named).manifest.graph
    assert ports is not None
    assert ports.output == "b"


def test_one_logit_is_a_score(tmp_path: Path, cross: ImportOptions):
    report = import_onnx(score_graph(tmp_path / "m.onnx"), tmp_path / "out", cross)
    assert report.manifest.kind is ModelKind.CROSS_ENCODER
    assert report.manifest.score_activation is ScoreActivation.IDENTITY
    assert report.manifest.graph is not None
    assert report.manifest.graph.token_type_ids == "token_type_ids"
    assert report.manifest.graph.output_kind == "score_logits"


def test_two_logits_become_their_difference(tmp_path: Path, cross: ImportOptions):
    graph = score_graph(tmp_path / "m.onnx", labels=2)
    report = import_onnx(graph, tmp_path / "out", cross)
    assert report.manifest.score_activation is ScoreActivation.SIGMOID
    ids = np.array([[2, 60, 61, 3]], dtype=np.int64)
    fed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    (two,) = onnxruntime.InferenceSession(str(graph)).run(None, fed)
    assert report.manifest.graph is not None
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    (one,) = session.run([report.manifest.graph.output], fed)
    assert one.shape == (1, 1)
    softmax = np.exp(two[0, 1]) / np.exp(two[0]).sum()
    assert 1 / (1 + np.exp(-one[0, 0])) == pytest.approx(softmax, rel=1e-5)


def test_inputs_of_32_bits_are_fed_as_such(tmp_path: Path, options: ImportOptions):
    graph = graph_of_type(tmp_path / "m.onnx", TensorProto.INT32)
    assert import_onnx(graph, tmp_path / "out", options).manifest.vocabulary_size == SIZE


def test_one_weight_per_token_may_stand_in_a_column(tmp_path: Path, options: ImportOptions):
    nodes = [helper.make_node("Gather", ["column", "input_ids"], ["impact"])]
    column = np.abs(TABLE.max(axis=1, keepdims=True))
    shape = {"impact": ("batch", "length", 1)}
    graph = write_graph(tmp_path / "m.onnx", nodes, shape, {"column": column}, inputs=("input_ids",))
    manifest = import_onnx(graph, tmp_path / "out", options).manifest
    assert manifest.expansion is Expansion.OWN_TERMS


def test_a_file_that_is_no_graph(tmp_path: Path, options: ImportOptions):
    (tmp_path / "m.onnx").write_bytes(b"PK\x03\x04 not a graph")
    with pytest.raises(UnsupportedCheckpoint, match=r"no ONNX file|can't load"):
        import_onnx(tmp_path / "m.onnx", tmp_path / "out", options)


def test_a_tokenizer_that_is_none(tmp_path: Path, options: ImportOptions):
    options.tokenizer.write_text("{}")
    with pytest.raises(UnsupportedCheckpoint, match=r"no tokenizer\.json"):
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is no JSON"),
        ("[1, 2]", "one JSON object"),
        ('{"water": -1}', "one JSON object"),
        ('{"water": "heavy"}', "one JSON object"),
        ('{"zzzz-unknown": 1.0}', "None of the tokens"),
    ],
)
def test_query_weights_that_are_none(tmp_path: Path, options: ImportOptions, content: str, message: str):
    idf = tmp_path / "idf.json"
    idf.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", replace(options, query_weights=idf))


def test_files_that_are_missing(tmp_path: Path, options: ImportOptions):
    with pytest.raises(InvalidInput, match="There is no graph at"):
        import_onnx(tmp_path / "m.onnx", tmp_path / "out", options)


def test_options_that_make_no_bundle(tmp_path: Path, options: ImportOptions):
    with pytest.raises(ManifestInvalid, match="This makes no bundle: license") as caught:
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", replace(options, license=""))
    assert caught.value.field == "license"


def test_a_name_that_no_bundle_has(options: ImportOptions):
    with pytest.raises(ManifestInvalid, match="'no/name' can't be a bundle's name") as caught:
        replace(options, name="no/name")
    assert caught.value.field == "name"


def test_what_lies_there_already_is_not_overwritten(tmp_path: Path, options: ImportOptions):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    with pytest.raises(ExportError, match="exists already"):
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", options)


def test_a_bundle_may_be_replaced_and_nothing_else(tmp_path: Path, options: ImportOptions):
    again = replace(options, replace=True)
    import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", again)
    (tmp_path / "out" / "model.onnx").write_bytes(b"damaged")
    import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "out", again)
    Bundle.open(tmp_path / "out")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "of-the-sea").touch()
    with pytest.raises(ExportError, match="is no bundle"):
        import_onnx(sparse_graph(tmp_path / "m.onnx"), tmp_path / "photographs", again)


def test_a_refused_import_leaves_nothing_behind(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx", activated=False)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnsupportedCheckpoint):
        import_onnx(graph, tmp_path / "out", options)
    assert sorted(tmp_path.iterdir()) == before


def test_external_weights_come_along(tmp_path: Path, options: ImportOptions):
    graph = sparse_graph(tmp_path / "m.onnx")
    onnx.save(
        onnx.load(str(graph)), str(graph), save_as_external_data=True, location="weights.bin", size_threshold=1024
    )
    report = import_onnx(graph, tmp_path / "out", options)
    assert "weights.bin" in report.manifest.files
    Bundle.open(tmp_path / "out")
    assert onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx")).get_outputs()


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "elsewhere.bin"])
def test_external_weights_that_lie_elsewhere(tmp_path: Path, options: ImportOptions, location: str):
    graph = sparse_graph(tmp_path / "m.onnx")
    model = onnx.load(str(graph))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedCheckpoint, match="do not lie beside"):
        import_onnx(graph, tmp_path / "out", options)


def test_the_vocabulary_of_the_tests_is_what_the_tokenizer_reads(options: ImportOptions):
    from tokenizers import Tokenizer

    assert Tokenizer.from_file(str(options.tokenizer)).get_vocab_size() == len(TINY_VOCABULARY)
