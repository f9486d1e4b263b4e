"""`sidecar models list` and `inspect`, as a person and as a machine see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.bundle import Bundle, zip_bundle
from sidecar.bundle.catalogue import load_catalogue
from sidecar.errors import (
    BundleNotFound,
)
from tests.support.bundles import SPARSE_ENCODER, placeholder_bundle
from tests.unit.cli.models.conftest import Run


def test_the_list_shows_what_can_be_named(run: Run, shelf: Path):
    result = run("list")
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if line.startswith("placeholder")]
    assert [line.split()[0] for line in lines] == ["placeholder-cross", "placeholder-sparse"]
    assert Bundle.open(shelf / "placeholder-sparse").fingerprint[:12] in lines[1]


def test_the_list_for_machines(run: Run, shelf: Path):
    found = {one["name"]: one for one in json.loads(run("list", "--json").stdout)}
    one = found["placeholder-sparse"]
    assert one["fingerprint"] == Bundle.open(shelf / "placeholder-sparse").fingerprint
    assert one["path"] == str(shelf / "placeholder-sparse")
    assert one["kind"] == "sparse-encoder"
    assert one["query_mode"] == "neural"
    assert one["non_commercial"] is False
    assert found["placeholder-cross"]["query_mode"] is None


def test_an_unusable_bundle_is_shown_and_hides_no_other(run: Run, shelf: Path):
    (shelf / "placeholder-cross" / "manifest.json").write_text('{"schema_version": 9}')
    result = run("list")
    assert "unusable" in result.stdout
    assert "placeholder-sparse" in result.stdout
    errors = [one["error"] for one in json.loads(run("list", "--json").stdout) if "error" in one]
    assert len(errors) == 1
    assert "this sidecar reads version 1" in errors[0]


def test_a_non_commercial_licence_is_said_aloud(run: Run, tmp_path: Path):
    draft = SPARSE_ENCODER.model_copy(update={"license": "CC-BY-NC-SA-4.0", "name": "nc"})
    placeholder_bundle(tmp_path / "shelf" / "nc", draft)
    assert "(non-commercial)" in run("list").stdout
    assert "(non-commercial)" in run("inspect", "nc").stdout
    assert json.loads(run("inspect", "nc", "--json").stdout)["non_commercial"] is True


def test_the_catalogue_names_every_model(run: Run):
    text = run("list", "--catalogue").stdout
    for model in load_catalogue().models:
        assert model.name in text
        assert f"{model.repository.partition('/')[0]}/" in text
    naver = next(line for line in text.splitlines() if " splade-v3 " in line)
    assert naver.startswith("NC")
    assert "CC-BY-NC-SA-4.0" in naver
    assert "51.7" in naver
    assert "--accept-license" in text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_tables_fit_the_terminal(run: Run, shelf: Path, monkeypatch: pytest.MonkeyPatch, width: int):
    monkeypatch.setattr("sidecar.cli.models.output.PLAIN_WIDTH", width)
    for arguments in (["list"], ["list", "--catalogue"], ["inspect", "placeholder-sparse"]):
        lines = run(*arguments).stdout.splitlines()
        assert max(map(len, lines)) <= width
    # No name is broken into pieces.
    assert {model.name for model in load_catalogue().models} <= set(run("list", "--catalogue").stdout.split())


def test_the_catalogue_for_machines(run: Run):
    printed = json.loads(run("list", "--catalogue", "--json").stdout)
    assert len(printed["models"]) == len(load_catalogue().models)


def test_inspect_by_name_path_and_zip(run: Run, shelf: Path, tmp_path: Path):
    fingerprint = Bundle.open(shelf / "placeholder-sparse").fingerprint
    zip_bundle(shelf / "placeholder-sparse", tmp_path / "packed.zip")
    for name in ("placeholder-sparse", str(shelf / "placeholder-sparse"), "packed.zip"):
        text = run("inspect", name).stdout
        assert fingerprint in text
        assert "It encodes nothing." in text
        assert "model.onnx" in text


def test_brackets_in_a_card_and_a_source_are_words(run: Run, tmp_path: Path):
    """rich would take [/docs] for a tag that closes nothing, and [here] for one that styles."""
    folder = tmp_path / "shelf" / "brackets"
    placeholder_bundle(folder, SPARSE_ENCODER.model_copy(update={"source": "hf:a/b [fork] [/x]", "base_model": "[me]"}))
    (folder / "README.md").write_text("# A card\n\nSee [here](https://example.org) and [/docs].\n")
    result = run("inspect", "brackets")
    assert result.exit_code == 0, result.exception
    for words in ("See [here](https://example.org) and [/docs].", "hf:a/b [fork] [/x]", "[me]"):
        assert words in result.stdout


def test_inspect_for_machines(run: Run, shelf: Path):
    printed = json.loads(run("inspect", "placeholder-cross", "--json").stdout)
    manifest = Bundle.open(shelf / "placeholder-cross").manifest
    assert printed["manifest"]["files"] == manifest.files
    assert printed["fingerprint"] == manifest.fingerprint
    assert printed["bytes"]["model.onnx"] == 64
    assert printed["card"] == "It encodes nothing."


def test_inspect_does_not_hash(run: Run, shelf: Path):
    (shelf / "placeholder-sparse" / "model.onnx").write_bytes(b"changed")
    assert run("inspect", "placeholder-sparse").exit_code == 0


def test_inspect_what_only_the_catalogue_knows(run: Run):
    text = run("inspect", "splade-v3").stdout
    assert "not here yet" in text
    assert "sidecar models pull naver/splade-v3 --accept-license" in text
    assert "https://huggingface.co/naver/splade-v3" in text
    blocked = run("inspect", "opensearch-neural-sparse-encoding-doc-v3-gte").stdout
    assert "can't be exported" in blocked
    assert "models pull" not in blocked
    printed = json.loads(run("inspect", "splade-v3", "--json").stdout)
    assert printed["catalogue"]["beir13"] == 51.7


def test_inspect_what_nobody_knows(run: Run):
    with pytest.raises(BundleNotFound, match="No bundle is called nothing"):
        run("inspect", "nothing")
