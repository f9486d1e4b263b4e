"""The same weights for everybody: int8 bundles turned back into checkpoints, peers in processes of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.checkpoints import find_checkpoint, flashrank_folder, naive_folder
from benchmarks.errors import BenchmarkFailed, PeerUnavailable
from benchmarks.variants import with_floor, without_floor
from benchmarks.workers import ENVIRONMENTS, NEEDED, ROOT, Peers
from sidecar.bundle import Bundle, Quantization
from sidecar.export import ExportOptions, export_checkpoint
from tests.unit.export.running import Graph

TEXTS = ["a cat near the river", "the long bridge in the rain " * 4, "wolf"]


@pytest.fixture(scope="module")
def sparse(tiny_sparse_checkpoint: Path, tmp_path_factory) -> Bundle:
    return exported(tiny_sparse_checkpoint, tmp_path_factory.mktemp("sparse") / "bundle")


@pytest.fixture(scope="module")
def reranker(tiny_cross_encoder_checkpoint: Path, tmp_path_factory) -> Bundle:
    return exported(tiny_cross_encoder_checkpoint, tmp_path_factory.mktemp("reranker") / "bundle")


def exported(checkpoint: Path, out: Path, calibration: tuple[str, ...] = ()) -> Bundle:
    options = ExportOptions(
        name="tiny-int8", license="MIT", source="the tests", quantize=Quantization.INT8, calibration=calibration
    )
    export_checkpoint(checkpoint, out, options)
    return Bundle.open(out)


def largest_error(ours: Path, theirs: Path) -> float:
    """The largest difference of a matrix, relative to the largest value of its row."""
    mine, original = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
    errors = []
    for name, value in mine.items():
        if value.ndim == 2 and name in original and "position" not in name and "token_type" not in name:
            scale = np.abs(original[name]).max(axis=1, keepdims=True)
            errors.append(float((np.abs(value - original[name][: len(value)]) / scale[: len(value)]).max()))
    assert len(errors) > 8
    return max(errors)


def test_an_int8_sparse_encoder_comes_back_as_it_was_within_its_rounding(sparse, tiny_sparse_checkpoint, tmp_path):
    found = find_checkpoint(sparse, None, tmp_path)
    assert "int8" in found.origin
    assert largest_error(found.folder, tiny_sparse_checkpoint) < 1 / 100
    assert find_checkpoint(sparse, None, tmp_path).folder == found.folder


def test_an_int8_cross_encoder_comes_back_as_it_was_within_its_rounding(
    reranker, tiny_cross_encoder_checkpoint, tmp_path
):
    found = find_checkpoint(reranker, None, tmp_path)
    assert largest_error(found.folder, tiny_cross_encoder_checkpoint) < 1 / 100
    folder = flashrank_folder(found, tmp_path)
    assert {"config.json", "tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert next(folder.glob("*.onnx")).read_bytes() == reranker.file("model.onnx").read_bytes()


@pytest.mark.parametrize("checkpoint", ["tiny_sparse_checkpoint", "tiny_cross_encoder_checkpoint"])
def test_a_calibrated_bundle_comes_back_as_it_was(checkpoint, tmp_path, request):
    """Single weights move further there, to make up for each other's errors: what counts is what the graph says."""
    original = request.getfixturevalue(checkpoint)
    found = find_checkpoint(exported(original, tmp_path / "bundle", tuple(TEXTS)), None, tmp_path / "work")
    export_checkpoint(found.folder, tmp_path / "back", ExportOptions())
    export_checkpoint(original, tmp_path / "exact", ExportOptions())
    texts = [(text, text) for text in TEXTS] if "cross" in checkpoint else TEXTS
    wanted, told = (Graph(tmp_path / name).run(texts) for name in ("exact", "back"))
    assert np.linalg.norm(told - wanted) < np.linalg.norm(wanted) / 50


def test_the_training_checkpoint_is_taken_where_it_is(sparse, tiny_sparse_checkpoint, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sparse").symlink_to(tiny_sparse_checkpoint)
    found = find_checkpoint(sparse, tiny_sparse_checkpoint.parent, tmp_path / "work")
    assert found.origin == "training checkpoint, fp32"
    assert json.loads((found.folder / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]


def test_a_bundle_without_int8_products_is_refused_with_a_way_out(tiny_sparse_checkpoint, tmp_path):
    options = ExportOptions(name="tiny-fp32", license="MIT", source="the tests", quantize=Quantization.FP32)
    export_checkpoint(tiny_sparse_checkpoint, tmp_path / "fp32", options)
    with pytest.raises(PeerUnavailable, match="--checkpoints"):
        find_checkpoint(Bundle.open(tmp_path / "fp32"), None, tmp_path)


async def test_peers_answer_from_their_own_process(sparse, tmp_path):
    peers = Peers(tmp_path / "peers", threads=1, batch=2)
    naive = naive_folder(find_checkpoint(sparse, None, tmp_path), tmp_path)
    reads = sparse.manifest.max_tokens
    with peers.start("naive-encoder", naive, reads) as worker:
        await worker.ready()
        assert "onnxruntime" in worker.versions
        answer = await worker.encode(TEXTS)
        assert answer.terms > len(TEXTS)
        assert answer.seconds > 0
        assert answer.peak_bytes > 10 << 20
        with pytest.raises(BenchmarkFailed, match="can't rerank"):
            await worker.rerank("query", TEXTS)
    with peers.start("bare-loop", sparse.folder, reads) as worker:
        await worker.ready()
        assert (await worker.encode(TEXTS)).seconds > 0


async def test_a_peer_that_can_not_load_its_model_says_so(tmp_path):
    with (
        Peers(tmp_path, threads=1, batch=2).start("naive-encoder", tmp_path, 16) as worker,
        pytest.raises(PeerUnavailable, match="naive-encoder"),
    ):
        await worker.ready()


def test_a_peer_that_is_not_installed_is_named_with_what_to_do(tmp_path):
    with pytest.raises(PeerUnavailable, match="--install-peers"):
        Peers(tmp_path, threads=1, batch=2).start("infinity", tmp_path, 16)


def test_every_environment_has_its_requirements():
    assert set(ENVIRONMENTS) <= set(NEEDED)
    for name in set(ENVIRONMENTS.values()):
        assert (ROOT / "benchmarks" / "peers" / f"requirements-{name}.txt").is_file()


def test_floors_come_and_go_with_the_manifest_alone(sparse, tmp_path):
    floored = with_floor(sparse, TEXTS, tmp_path)
    assert floored.manifest.lexical_floor is not None
    assert floored.fingerprint != sparse.fingerprint
    assert floored.file("model.onnx").read_bytes() == sparse.file("model.onnx").read_bytes()
    assert with_floor(floored, TEXTS, tmp_path) is floored
    assert without_floor(sparse, tmp_path) is sparse
    assert without_floor(floored, tmp_path).fingerprint == sparse.fingerprint
