"""Finding bundles by path and by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.bundle import (
    STARTERS,
    bundle_folders,
    default_bundle_folder,
    find_bundle,
    installed_bundles,
    zip_bundle,
)
from sidecar.errors import BundleNotFound
from tests.support.bundles import placeholder_bundle


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIDECAR_BUNDLES", raising=False)
    return tmp_path


def test_a_path_is_itself(tmp_path: Path):
    placeholder_bundle(tmp_path / "somewhere" / "tiny")
    assert find_bundle(tmp_path / "somewhere" / "tiny") == tmp_path / "somewhere" / "tiny"
    assert find_bundle("somewhere/tiny") == Path("somewhere/tiny")


def test_a_zip_file_is_itself(tmp_path: Path):
    placeholder_bundle(tmp_path / "tiny")
    zip_bundle(tmp_path / "tiny", tmp_path / "packed.zip")
    assert find_bundle("packed.zip") == Path("packed.zip")


def test_a_name_is_looked_up_in_the_folder_models(tmp_path: Path):
    placeholder_bundle(tmp_path / "models" / "tiny")
    assert find_bundle("tiny") == Path("models/tiny")


def test_a_name_is_looked_up_in_the_folders_of_the_environment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("first", "second", "models"):
        placeholder_bundle(tmp_path / folder / "tiny")
    placeholder_bundle(tmp_path / "second" / "other")
    monkeypatch.setenv("SIDECAR_BUNDLES", os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")]))
    assert find_bundle("tiny") == tmp_path / "first" / "tiny"
    assert find_bundle("other") == tmp_path / "second" / "other"
    assert default_bundle_folder() == tmp_path / "first"


def test_a_name_may_stand_for_a_zip_file(tmp_path: Path):
    placeholder_bundle(tmp_path / "tiny")
    (tmp_path / "models").mkdir()
    zip_bundle(tmp_path / "tiny", tmp_path / "models" / "packed.zip")
    assert find_bundle("packed") == Path("models/packed.zip")


def test_a_folder_of_the_same_name_that_is_no_bundle_is_passed_over(tmp_path: Path):
    placeholder_bundle(tmp_path / "models" / "tiny")
    (tmp_path / "tiny").mkdir()
    assert find_bundle("tiny") == Path("models/tiny")


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path):
    placeholder_bundle(tmp_path / "models" / "tiny")
    with pytest.raises(BundleNotFound, match="No bundle is called huge") as caught:
        find_bundle("huge")
    assert "tiny" in caught.value.message
    assert "sidecar models pull" in caught.value.message


@pytest.mark.parametrize("name", ["", ".", "..", "missing/tiny", "/nowhere/tiny"])
def test_paths_to_nothing(name: str):
    with pytest.raises(BundleNotFound):
        find_bundle(name)


def test_a_name_that_no_file_system_takes():
    with pytest.raises(BundleNotFound, match=r"can't be looked up \(File name too long\)"):
        find_bundle("a" * 300)


def test_a_path_to_something_else(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(BundleNotFound, match=r"a folder or a \.zip file is needed"):
        find_bundle("notes.txt")


def test_installed_bundles_by_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    placeholder_bundle(tmp_path / "own" / "tiny")
    placeholder_bundle(tmp_path / "models" / "tiny")
    placeholder_bundle(tmp_path / "models" / "other")
    (tmp_path / "models" / "no-bundle").mkdir()
    monkeypatch.setenv("SIDECAR_BUNDLES", str(tmp_path / "own"))
    found = installed_bundles()
    assert found[:2] == (tmp_path / "own" / "tiny", Path("models/other"))
    assert all(find_bundle(path.name.removesuffix(".zip")) == path for path in found)


def test_the_folder_models_is_where_new_bundles_go():
    assert default_bundle_folder() == Path("models")


def test_the_starters_are_looked_for_in_the_package_and_in_the_checkout():
    folders = bundle_folders()
    assert folders[0] == Path("models")
    assert any(folder.parts[-3:] == ("sidecar", "_data", "models") for folder in folders)
    assert len(STARTERS) == 2
