"""Opening, writing and packing bundles: what does not match its hashes is refused, whatever form it comes in."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.bundle import Bundle, ManifestDraft, write_bundle
from sidecar.errors import BundleCorrupt, BundleError, BundleNotFound, ManifestInvalid
from tests.support.bundles import CROSS_ENCODER, SPARSE_ENCODER, placeholder_bundle


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder(folder: Path):
    bundle = Bundle.open(folder)
    assert bundle.manifest.name == "placeholder-sparse"
    assert bundle.fingerprint == bundle.manifest.fingerprint
    assert bundle.folder == folder
    assert bundle.file("model.onnx") == folder / "model.onnx"
    assert bundle.has("README.md")
    assert not bundle.has("query_weights.json")


def test_a_file_that_is_not_listed_has_no_path(folder: Path):
    (folder / "notes.txt").write_text("not part of it")
    bundle = Bundle.open(folder)
    with pytest.raises(BundleNotFound, match=r"no file notes\.txt"):
        bundle.file("notes.txt")


def test_the_path_may_be_a_string(folder: Path):
    assert Bundle.open(str(folder)) == Bundle.open(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(name=st.sampled_from(["model.onnx", "tokenizer.json", "README.md"]), data=st.data())
def test_one_flipped_bit_anywhere_is_refused(folder: Path, name: str, data: st.DataObject):
    path = folder / name
    intact = path.read_bytes()
    place = data.draw(st.integers(0, len(intact) - 1))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(intact[:place] + bytes([intact[place] ^ (1 << bit)]) + intact[place + 1 :])
    try:
        with pytest.raises(BundleCorrupt, match=name):
            Bundle.open(folder)
    finally:
        path.write_bytes(intact)
    assert Bundle.open(folder).manifest.name == "placeholder-sparse"


@pytest.mark.parametrize("change", [b"", b"\0"])
def test_a_cut_or_lengthened_file_is_refused(folder: Path, change: bytes):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + change if change else path.read_bytes()[:-1])
    with pytest.raises(BundleCorrupt, match=r"model\.onnx has sha256"):
        Bundle.open(folder)


def test_without_verification_only_presence_counts(folder: Path):
    (folder / "model.onnx").write_bytes(b"changed")
    bundle = Bundle.open(folder, verify=False)
    with pytest.raises(BundleCorrupt):
        bundle.verify()


@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_file_is_refused(folder: Path, verify: bool):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json is listed in manifest\.json and missing"):
        Bundle.open(folder, verify=verify)


def test_a_listed_file_that_is_a_folder_is_refused(folder: Path):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").mkdir()
    with pytest.raises(BundleCorrupt, match="missing"):
        Bundle.open(folder)


def test_an_unknown_key_is_refused(folder: Path):
    edit_manifest(folder, colour="blue")
    with pytest.raises(ManifestInvalid, match="colour"):
        Bundle.open(folder)


def test_another_schema_version_is_refused(folder: Path):
    edit_manifest(folder, schema_version=2)
    with pytest.raises(ManifestInvalid, match="reads version 1"):
        Bundle.open(folder)


def test_a_folder_without_a_manifest(tmp_path: Path):
    with pytest.raises(ManifestInvalid, match=r"has no manifest\.json"):
        Bundle.open(tmp_path)


def test_a_manifest_that_is_cut_is_named_with_its_place(folder: Path):
    manifest = folder / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:40])
    with pytest.raises(ManifestInvalid) as cut:
        Bundle.open(folder)
    assert cut.value.message.startswith(f"{manifest} is invalid: Invalid JSON: ")
    manifest.write_bytes(whole.replace(b'"max_tokens": 256', b'"max_tokens": 1'))
    with pytest.raises(ManifestInvalid) as wrong:
        Bundle.open(folder)
    assert wrong.value.message.startswith(f"{manifest} is invalid at max_tokens: ")


def test_what_the_system_refuses_to_read_is_one_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    too_long = tmp_path / ("a" * 300)
    with pytest.raises(BundleError, match=r"can't be read \(File name too long\)"):
        Bundle.open(too_long)

    def refuse(self: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BundleError) as refused:
        Bundle.open(folder)
    assert refused.value.message == f"The bundle at {folder} can't be read (Permission denied)."


def test_a_manifest_of_absurd_size(folder: Path):
    (folder / "manifest.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(ManifestInvalid, match="larger than"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", ["nothing", "plain.txt"])
def test_no_bundle_there(tmp_path: Path, name: str):
    (tmp_path / "plain.txt").write_text("text")
    with pytest.raises(BundleNotFound, match="no bundle at"):
        Bundle.open(tmp_path / name)


# --- writing -----------------------------------------------------------------------------------------------------


def test_every_file_is_listed_but_hidden_ones(tmp_path: Path):
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "weights.bin").write_bytes(b"1")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("no")
    manifest = placeholder_bundle(tmp_path)
    assert list(manifest.files) == ["README.md", "extra/weights.bin", "model.onnx", "tokenizer.json"]
    Bundle.open(tmp_path)


def test_writing_again_gives_the_same_manifest(folder: Path):
    before = (folder / "manifest.json").read_bytes()
    write_bundle(folder, SPARSE_ENCODER)
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_manifest_can_be_read_by_all(folder: Path):
    assert stat.S_IMODE((folder / "manifest.json").stat().st_mode) == 0o644


def test_the_files_must_fit_the_draft(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ManifestInvalid, match="come together"):
        write_bundle(tmp_path, CROSS_ENCODER)
    assert not (tmp_path / "manifest.json").exists()


def test_a_draft_is_checked_before_any_file_is_there():
    with pytest.raises(ValueError, match="score_activation"):
        ManifestDraft.model_validate({**CROSS_ENCODER.model_dump(), "score_activation": None})
