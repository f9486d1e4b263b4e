"""`sidecar models import`, and what `verify` then says of the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.bundle import Bundle
from sidecar.errors import (
    InvalidInput,
    UnsupportedCheckpoint,
)
from tests.support.graphs import TABLE, score_graph, sparse_graph, tiny_tokenizer_file
from tests.unit.cli.models.conftest import Run


def importing(tmp_path: Path, kind: str, *more: str) -> list[str]:
    given = tmp_path / "given"
    given.mkdir(exist_ok=True)
    graph = given / "model.onnx"
    if not graph.exists():
        (sparse_graph if kind == "sparse-encoder" else score_graph)(graph)
    tokenizer = tiny_tokenizer_file(given)
    return ["import", str(graph), "out", "--tokenizer", str(tokenizer), "--kind", kind, "--license", "MIT",
            "--max-tokens", "64", *more]  # fmt: skip


def test_import_then_verify_a_sparse_encoder(run: Run, tmp_path: Path):
    (tmp_path / "idf.json").write_text(json.dumps({"water": 3.5, "world": 4.25}))
    made = run(*importing(tmp_path, "sparse-encoder", "--name", "mine", "--query-weights", "idf.json"))
    assert made.exit_code == 0
    assert Bundle.open(tmp_path / "out").fingerprint in made.stdout
    text = run("verify", "out").stdout
    assert "document 'hello world'" in text
    assert "world 4.25" in text
    printed = json.loads(run("verify", "out", "--json").stdout)
    assert printed["ran"] is True
    assert printed["name"] == "mine"


def test_import_then_verify_a_cross_encoder(run: Run, tmp_path: Path):
    made = run(*importing(tmp_path, "cross-encoder", "--json"))
    printed = json.loads(made.stdout)
    assert printed["name"] == "out"
    assert printed["warnings"] == []
    assert "'Hello, world!'" in run("verify", "out").stdout


def test_import_says_what_a_person_should_know(run: Run, tmp_path: Path):
    (tmp_path / "given").mkdir()
    sparse_graph(tmp_path / "given" / "model.onnx", output="token_logits")
    made = run(*importing(tmp_path, "sparse-encoder"))
    assert "pooled outside it" in made.stderr
    assert "pooled outside" not in made.stdout
    machine = run(*importing(tmp_path, "sparse-encoder", "--json", "--replace"))
    assert len(json.loads(machine.stdout)["warnings"]) == 1


def test_token_logits_give_the_same_vectors_as_pooling_in_the_graph(run: Run, tmp_path: Path):
    (tmp_path / "given").mkdir()
    texts: list[str] = []
    for output in ("weights", "token_logits"):
        sparse_graph(tmp_path / "given" / "model.onnx", output=output, table=TABLE)
        run(*importing(tmp_path, "sparse-encoder", "--replace"))
        texts.append(json.loads(run("verify", "out", "--json").stdout)["result"])
    assert texts[0] == texts[1]


def test_import_refuses_what_it_can_not_serve(run: Run, tmp_path: Path):
    (tmp_path / "given").mkdir()
    sparse_graph(tmp_path / "given" / "model.onnx", activated=False)
    with pytest.raises(UnsupportedCheckpoint, match="negative weights"):
        run(*importing(tmp_path, "sparse-encoder"))
    assert not (tmp_path / "out").exists()


def test_import_with_a_ratio_that_is_none(run: Run, tmp_path: Path):
    with pytest.raises(InvalidInput, match="max-ratio"):
        run(*importing(tmp_path, "sparse-encoder", "--document-max-ratio", "1.5"))
