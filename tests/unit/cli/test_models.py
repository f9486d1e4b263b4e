"""The commands of `sidecar models`, as a person and as a machine see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sidecar.bundle import Bundle, zip_bundle
from sidecar.bundle.catalogue import load_catalogue
from sidecar.cli.main import app
from sidecar.errors import (
    BundleCorrupt,
    BundleNotFound,
    ExportError,
    HubError,
    InvalidInput,
    ManifestInvalid,
    SidecarError,
    UnsupportedCheckpoint,
)
from tests.support.bundles import CROSS_ENCODER, SPARSE_ENCODER, placeholder_bundle
from tests.support.graphs import TABLE, score_graph, sparse_graph, tiny_tokenizer_file
from tests.support.shell import typed

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sidecar models …` in an empty folder; an expected error is raised, as in `main`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDECAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIDECAR_BUNDLES", str(tmp_path / "shelf"))

    def models(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["models", *arguments])
        if isinstance(result.exception, SidecarError):
            raise result.exception
        return result

    return models


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    placeholder_bundle(tmp_path / "shelf" / "placeholder-sparse")
    placeholder_bundle(tmp_path / "shelf" / "placeholder-cross", CROSS_ENCODER)
    return tmp_path / "shelf"


# --- list --------------------------------------------------------------------------------------------------------


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


# --- inspect -----------------------------------------------------------------------------------------------------


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


# --- verify ------------------------------------------------------------------------------------------------------


def test_verify_without_running(run: Run, shelf: Path):
    text = run("verify", "placeholder-sparse", "--no-run").stdout
    assert "3 match their sha256" in text
    printed = json.loads(run("verify", "placeholder-sparse", "--no-run", "--json").stdout)
    assert printed["ran"] is False
    assert printed["files"] == 3


def test_verify_one_flipped_byte(run: Run, shelf: Path):
    path = shelf / "placeholder-sparse" / "tokenizer.json"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json has sha256"):
        run("verify", "placeholder-sparse", "--no-run")


def test_verify_a_manifest_with_an_unknown_key(run: Run, shelf: Path):
    path = shelf / "placeholder-sparse" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "flavour": "mint"}))
    with pytest.raises(ManifestInvalid, match="flavour"):
        run("verify", "placeholder-sparse")


def test_verify_hashes_that_match_and_a_graph_that_is_none(run: Run, shelf: Path):
    with pytest.raises(BundleCorrupt):
        run("verify", "placeholder-sparse")


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


# --- export and pull ---------------------------------------------------------------------------------------------


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
