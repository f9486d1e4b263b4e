"""`sidecar models export` and `pull`, as far as they come without a checkpoint; wrong usage."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.cli.models.arguments import floor_of
from sidecar.errors import (
    ExportError,
    HubError,
    InvalidInput,
    ManifestInvalid,
    UnsupportedCheckpoint,
)
from tests.support.shell import typed
from tests.unit.cli.models.conftest import Run


def test_export_replaces_no_folder_but_a_bundle(run: Run, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    with pytest.raises(ExportError, match="mine is no bundle: it is not replaced"):
        run("export", "mine", "mine", "--replace")
    with pytest.raises(ExportError, match="mine is no bundle: it is not replaced"):
        run("pull", "somebody/model", "mine", "--replace")
    assert (tmp_path / "mine" / "precious").exists()


@pytest.mark.parametrize("command", [("export", "mine", "out"), ("pull", "somebody/model")])
def test_a_name_that_no_bundle_has_is_refused_at_once(run: Run, tmp_path: Path, command: tuple[str, ...]):
    with pytest.raises(ManifestInvalid, match="'my model' can't be a bundle's name"):
        run(*command, "--name", "my model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--catalog"],
        ["inspect"],
        ["import", "model.onnx", "out"],
        ["export", "in", "out", "--kind", "dense"],
        ["export", "in", "out", "--quantize", "int4"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["pull", "a/b"], "huggingface_hub"),
        (["export", "in", "out"], "torch"),
        (["import", "m.onnx", "out", "--tokenizer", "t", "--kind", "cross-encoder", "--license", "MIT"], "onnx"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, arguments: list[str], missing: str):
    from sidecar.cli.models import output

    monkeypatch.setattr(output, "find_spec", lambda name: None if name == missing else True)
    told = typed("models", *arguments, code=1).stderr
    assert f"this command needs {missing}: pip install 'splade-sidecar[export]'" in told


def test_export_of_a_folder_that_is_none(run: Run, tmp_path: Path):
    with pytest.raises(UnsupportedCheckpoint):
        run("export", "nowhere", "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "why"), [(None, "can't be read"), (b" \n\n", "no text"), (b"\xff\xfe", "can't be read")]
)
def test_export_with_calibration_texts_that_are_none(run: Run, tmp_path: Path, content: bytes | None, why: str):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=why):
        run("export", str(tmp_path), str(tmp_path / "out"), "--calibrate", str(path))


def test_export_with_query_weights_that_are_none(run: Run, tmp_path: Path):
    (tmp_path / "idf.json").write_text("[]")
    with pytest.raises(InvalidInput, match="one JSON object"):
        run("export", "in", "out", "--query-weights", "idf.json")
    with pytest.raises(InvalidInput, match="no query weights at"):
        run("export", "in", "out", "--query-weights", "missing.json")


def test_export_with_the_length_of_a_floor_that_there_is_not(run: Run, tmp_path: Path):
    with pytest.raises(InvalidInput, match="add --lexical-floor") as caught:
        run("export", "in", "out", "--average-length", "120")
    assert caught.value.field == "average_length"
    for given in (["0.7"], ["0.7", "--average-length", "120"]):
        with pytest.raises(UnsupportedCheckpoint):
            run("export", str(tmp_path), "out", "--lexical-floor", *given)
    with pytest.raises(InvalidInput, match="--lexical-floor with --average-length"):
        run("export", "in", "out", "--lexical-floor", "0.7", "--average-length", "0")


@pytest.mark.parametrize(("given", "length"), [(None, 150.0), (120.0, 120.0)])
def test_a_floor_has_a_usual_length(given: float | None, length: float):
    floor = floor_of(0.7, given)
    assert floor is not None
    assert (floor.weight, floor.average_length) == (0.7, length)
    assert floor_of(None, None) is None


def test_pull_wants_the_licence_accepted(run: Run):
    with pytest.raises(HubError, match="NOT for commercial use"):
        run("pull", "splade-v3")


def test_pull_of_what_is_here_already(run: Run, shelf: Path):
    with pytest.raises(ExportError, match="exists already"):
        run("pull", "someone/placeholder-sparse")


def test_pull_of_no_repository(run: Run):
    with pytest.raises(HubError, match="names no repository"):
        run("pull", "not a repository")


def test_every_command_says_what_it_does(run: Run):
    for command in ("list", "inspect", "verify", "pull", "export", "import"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout
