"""The manifest: what is refused, and what the fingerprint depends on."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bundle import GraphPorts, Manifest
from sidecar.bundle.names import is_inside
from sidecar.domain import Pruning, PruningType
from sidecar.errors import ManifestInvalid

HASH = "0123456789abcdef" * 4

SPARSE: dict[str, object] = {
    "schema_version": 1,
    "name": "tiny",
    "kind": "sparse-encoder",
    "license": "Apache-2.0",
    "source": "made by the tests",
    "max_tokens": 256,
    "vocabulary_size": 100,
    "quantization": "int8",
    "graph": {"input_ids": "input_ids", "attention_mask": "attention_mask", "output": "weights"},
    "pooling": "max",
    "activation": "log1p_relu",
    "expansion": "vocabulary",
    "query_mode": "idf",
    "missing_idf": 1.0,
    "special_tokens": "drop_all",
    "document_pruning": {"type": "max_ratio", "value": 0.1},
    "files": {"model.onnx": HASH, "tokenizer.json": HASH, "query_weights.json": HASH, "README.md": HASH},
}

CROSS: dict[str, object] = {
    "name": "tiny-cross",
    "kind": "cross-encoder",
    "license": "MIT",
    "source": "made by the tests",
    "max_tokens": 512,
    "vocabulary_size": 100,
    "graph": {"output": "logits", "output_kind": "score_logits"},
    "score_activation": "identity",
    "files": {"model.onnx": HASH, "tokenizer.json": HASH},
}


def parse(content: Mapping[str, object]) -> Manifest:
    return Manifest.parse(json.dumps(content).encode())


def without(content: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in content.items() if name not in names}


def shuffled(value: object, source: random.Random) -> object:
    if not isinstance(value, dict):
        return value
    items = [(name, shuffled(inner, source)) for name, inner in value.items()]
    source.shuffle(items)
    return dict(items)


def test_a_sparse_encoder():
    manifest = parse(SPARSE)
    assert manifest.document_pruning is not None
    assert manifest.document_pruning.to_domain() == Pruning(PruningType.MAX_RATIO, 0.1)
    assert len(manifest.fingerprint) == 64


def test_a_cross_encoder():
    assert parse(CROSS).query_mode is None


@given(st.randoms(use_true_random=False))
def test_the_fingerprint_does_not_depend_on_the_order_of_keys(source: random.Random):
    again = shuffled(SPARSE, source)
    assert isinstance(again, dict)
    assert parse(again).fingerprint == parse(SPARSE).fingerprint


@given(st.sampled_from(["base_model", "query_max_tokens", "query_pruning", "observed_max_weight", "score_activation"]))
def test_the_fingerprint_does_not_depend_on_absent_optional_keys(name: str):
    assert parse({**SPARSE, name: None}).fingerprint == parse(SPARSE).fingerprint


@given(st.sampled_from([("max_tokens", 256), ("vocabulary_size", 100), ("missing_idf", 1)]), st.booleans())
def test_the_fingerprint_does_not_depend_on_how_a_number_is_written(item: tuple[str, int], as_float: bool):
    name, value = item
    assert parse({**SPARSE, name: float(value) if as_float else value}).fingerprint == parse(SPARSE).fingerprint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "other"),
        ("max_tokens", 255),
        ("quantization", "fp32"),
        ("activation", "log1p_log1p_relu"),
        ("missing_idf", 0.0),
        ("query_term_frequency", "square_root"),
        ("special_tokens", "keep"),
        ("document_pruning", {"type": "none"}),
        ("observed_max_weight", 3.5),
        ("source", "elsewhere"),
    ],
)
def test_the_fingerprint_depends_on_everything_declared(name: str, value: object):
    assert parse({**SPARSE, name: value}).fingerprint != parse(SPARSE).fingerprint


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "query_weights.json"])
def test_the_fingerprint_depends_on_the_files_that_encode(name: str):
    files = {**dict(SPARSE["files"]), name: HASH[::-1]}  # type: ignore[call-overload]
    assert parse({**SPARSE, "files": files}).fingerprint != parse(SPARSE).fingerprint


def test_the_fingerprint_does_not_depend_on_the_model_card():
    files = {**dict(SPARSE["files"]), "README.md": HASH[::-1]}  # type: ignore[call-overload]
    assert parse({**SPARSE, "files": files}).fingerprint == parse(SPARSE).fingerprint


def test_the_fingerprint_of_a_known_manifest_is_known_for_ever():
    # Indices keep it for years: if this changes, every one of them is orphaned.
    assert parse(CROSS).fingerprint == "2cbb111b2072d9b8db60f46a6301f4ae42c435740d0333b1fc5716d7d6ab2464"
    assert parse(SPARSE).fingerprint == "ca33674b9c348ffe0efa7587afe7905543e6e3296d4a7aeb44e9ba82bb48f13d"


@given(st.sampled_from([SPARSE, CROSS]), st.booleans())
def test_what_is_written_reads_back_the_same(content: dict[str, object], has_mask: bool):
    ports = {"output": "out", **({} if has_mask else {"attention_mask": None})}
    manifest = parse({**content, "graph": ports})
    assert manifest.graph is not None
    assert (manifest.graph.attention_mask is None) == (not has_mask)
    assert Manifest.parse(manifest.to_json()) == manifest
    assert Manifest.parse(manifest.to_json()).fingerprint == manifest.fingerprint


@pytest.mark.parametrize("content", [SPARSE, CROSS])
def test_an_unknown_key_is_refused_and_named(content: dict[str, object]):
    with pytest.raises(ManifestInvalid, match="dimension") as caught:
        parse({**content, "dimension": 100})
    assert caught.value.field == "dimension"


def test_an_unknown_key_inside_the_ports_is_refused():
    with pytest.raises(ManifestInvalid, match=r"graph\.logits"):
        parse({**SPARSE, "graph": {"logits": "x"}})


@pytest.mark.parametrize("version", [0, 2, "1.1", None])
def test_another_schema_version_is_refused_before_all_else(version: object):
    with pytest.raises(ManifestInvalid, match="this sidecar reads version 1") as caught:
        parse({**SPARSE, "a_key_of_the_future": 1, "schema_version": version})
    assert caught.value.field == "schema_version"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"manifest"'])
def test_what_is_no_json_object_is_refused(data: bytes):
    with pytest.raises(ManifestInvalid):
        Manifest.parse(data)


@pytest.mark.parametrize("name", ["name", "kind", "license", "source", "max_tokens", "vocabulary_size", "files"])
def test_required_keys(name: str):
    with pytest.raises(ManifestInvalid) as caught:
        parse(without(SPARSE, name))
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pooling": None}, "names pooling"),
        ({"missing_idf": None}, "needs missing_idf"),
        ({"score_activation": "sigmoid"}, "belongs to cross-encoders"),
        ({"graph": None}, "come together"),
        ({"files": {"model.onnx": HASH, "tokenizer.json": HASH}}, r"query_weights\.json"),
        ({"files": {"model.onnx": HASH, "query_weights.json": HASH}}, r"tokenizer\.json is missing"),
        ({"query_mode": "neural", "missing_idf": None, "graph": None, "files": {"tokenizer.json": HASH}}, "no graph"),
        (
            {"query_mode": "neural", "missing_idf": None, "query_term_frequency": "square_root"},
            "belongs to inference-free queries",
        ),
        ({"query_term_frequency": "logarithm"}, "square_root"),
        ({"max_tokens": 2}, "greater than or equal to 3"),
        ({"license": ""}, "at least 1 character"),
        ({"name": "../evil"}, "pattern"),
        ({"missing_idf": -1.0}, "greater than or equal to 0"),
        ({"document_pruning": {"type": "max_ratio", "value": 1.5}}, r"\[0, 1\)"),
        ({"document_pruning": {"type": "top_k", "value": 0.5}}, "whole number"),
        ({"document_pruning": {"type": "max_ratio"}}, "at document_pruning: max_ratio needs a value"),
        ({"document_pruning": {"value": 0.1}}, "a value needs its type: one of none, max_ratio, "),
        ({"query_pruning": {"value": 64}}, "a value needs its type"),
        ({"query_pruning": {"type": "top_k"}}, "top_k needs a value"),
        ({"activation": "gelu"}, "log1p_relu"),
    ],
)
def test_inconsistent_sparse_encoders(change: dict[str, object], message: str):
    with pytest.raises(ManifestInvalid, match=message):
        parse({**SPARSE, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score_activation": None}, "names its score_activation"),
        ({"pooling": "max"}, "belong to sparse-encoders"),
        ({"query_mode": "idf"}, "belong to sparse-encoders"),
        ({"graph": None, "files": {"tokenizer.json": HASH}}, "no graph"),
    ],
)
def test_inconsistent_cross_encoders(change: dict[str, object], message: str):
    with pytest.raises(ManifestInvalid, match=message):
        parse({**CROSS, **change})


@pytest.mark.parametrize(
    "path",
    ["../model.onnx", "/etc/passwd", "a/../../b", "manifest.json", "a\\b", "", ".", "./a", "a//b", "C:x", "nul\0byte"],
)
def test_files_outside_the_bundle_are_refused(path: str):
    with pytest.raises(ManifestInvalid, match="relative to the bundle"):
        parse({**CROSS, "files": {"model.onnx": HASH, "tokenizer.json": HASH, path: HASH}})


@given(st.lists(st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=4))
def test_plain_relative_paths_are_inside(parts: list[str]):
    assert is_inside("/".join(parts))


@given(st.text(max_size=20))
def test_whatever_is_inside_stays_inside(path: str):
    from pathlib import Path

    if is_inside(path):
        root = Path("/bundle")
        assert (root / path).resolve().is_relative_to(root)


def test_a_hash_has_64_lower_case_digits():
    with pytest.raises(ManifestInvalid, match="pattern"):
        parse({**CROSS, "files": {"model.onnx": HASH.upper(), "tokenizer.json": HASH}})


def test_a_manifest_can_not_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse(SPARSE).name = "other"


def test_ports_default_to_the_usual_names():
    assert GraphPorts() == GraphPorts(input_ids="input_ids", attention_mask="attention_mask", output="weights")
