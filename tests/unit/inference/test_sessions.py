import numpy as np
import pytest

from sidecar.bundle import Bundle, GraphPorts
from sidecar.errors import BundleCorrupt, SettingsInvalid
from sidecar.inference.calls import Item
from sidecar.inference.sessions import OnnxSession
from tests.unit.inference.graphs import SIZE, cross_bundle, expected_weights, sparse_bundle, table


def session(bundle: Bundle, **ports: object) -> OnnxSession:
    graph = bundle.manifest.graph.model_copy(update=ports)
    return OnnxSession(bundle.file("model.onnx"), graph, name="test", threads=1, pad_id=0)


def item(ids: list[int], tokens: int, second: int | None = None) -> Item:
    return Item(np.array(ids, dtype=np.int32), slot=0, tokens=tokens, second=len(ids) if second is None else second)


def test_padding_changes_nothing(tmp_path):
    made = session(sparse_bundle(tmp_path))
    rows = made.run([item([2, 9, 3], 8), item([2, 8, 7, 6, 5, 4, 9, 10, 3], 16)])
    assert rows.shape == (2, SIZE)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[0], expected_weights([2, 9, 3], table()), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows[1], expected_weights([2, 8, 7, 6, 5, 4, 9, 10, 3], table()), rtol=1e-5, atol=1e-6)


def test_token_types_are_sent_where_the_graph_wants_them(tmp_path):
    made = session(cross_bundle(tmp_path))
    (logit,) = made.run([item([2, 10, 3, 20, 3], 8, second=3)])
    assert logit[0] == pytest.approx(0.23)


def test_token_types_are_not_sent_where_the_graph_has_none(tmp_path):
    made = session(cross_bundle(tmp_path, typed=False))
    (logit,) = made.run([item([2, 10, 3, 20, 3], 8, second=3)])
    assert logit[0] == pytest.approx(0.38)


@pytest.mark.parametrize(
    "ports",
    [
        {"attention_mask": None},
        {"token_type_ids": "token_type_ids"},
        {"input_ids": "ids"},
        {"output": "nothing"},
        {"input_ids": "attention_mask", "attention_mask": "input_ids_"},
    ],
)
def test_a_manifest_that_does_not_fit_the_graph_is_refused_at_load(tmp_path, ports):
    with pytest.raises(BundleCorrupt):
        session(sparse_bundle(tmp_path), **ports)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x08" * 100])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        OnnxSession(path, GraphPorts(), name="test", threads=1, pad_id=0)


def test_a_graph_that_loads_and_does_not_run_is_refused_at_load(tmp_path):
    bundle = sparse_bundle(tmp_path)
    with pytest.raises(BundleCorrupt, match="loads and does not run"):
        OnnxSession(bundle.file("model.onnx"), bundle.manifest.graph, name="test", threads=1, pad_id=SIZE)


def test_a_provider_that_does_not_run_the_graph_is_named(tmp_path):
    """OpenVINO's provider takes the products of int8 bundles, and fails at the first run."""
    made = session(sparse_bundle(tmp_path))
    made._pad_id = SIZE
    with pytest.raises(
        SettingsInvalid, match=r"OpenVINOExecutionProvider takes model\.onnx and does not run it"
    ) as caught:
        made._probe(tmp_path / "model.onnx", ("openvino", "cpu"))
    assert caught.value.field == "providers"
    assert "--quantize fp32" in caught.value.message
