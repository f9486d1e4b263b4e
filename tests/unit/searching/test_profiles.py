"""The operator's folder of profiles: read at the start, beside the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import ProfileInvalid, SettingsInvalid
from sidecar.search import BUILT_IN
from sidecar.server.searching.profiles import profile_named, served_profiles

PRODUCTS = "name: products\nretrievers:\n  - {kind: lexical}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "products.yaml").write_text(PRODUCTS)
    (tmp_path / "notes.yml").write_text("name: notes\nretrievers:\n  - {kind: sparse}\n")
    (tmp_path / "README.md").write_text("Not a profile.")
    # As Kubernetes mounts a ConfigMap: the files are links into a hidden folder.
    (tmp_path / "..data").mkdir()
    (tmp_path / ".products.yaml.swp").write_text("what an editor left")
    (tmp_path / ".draft.yaml").write_text("what nobody should serve")
    return tmp_path


def test_without_a_folder_there_are_the_built_in_ones() -> None:
    assert dict(served_profiles(None)) == BUILT_IN


def test_the_folders_profiles_stand_beside_them_by_their_names(folder: Path) -> None:
    served = served_profiles(folder)
    assert set(served) == {*BUILT_IN, "products", "notes"}
    assert profile_named("products", served).lexical is not None


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("again.yaml", PRODUCTS, "products"),
        ("mine.yaml", "name: hybrid\nretrievers:\n  - {kind: lexical}\n", "hybrid"),
        ("broken.yaml", "name: [", "broken.yaml"),
        ("odd.yaml", "name: odd\nretriever: lexical\n", "odd.yaml"),
    ],
)
def test_what_is_wrong_ends_the_start(folder: Path, name: str, content: str, what: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(SettingsInvalid, match=what) as raised:
        served_profiles(folder)
    assert raised.value.field == "search_profiles"


def test_a_folder_that_is_none_or_holds_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="can't be read"):
        served_profiles(tmp_path / "nowhere")
    with pytest.raises(SettingsInvalid, match="holds no file"):
        served_profiles(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "", "HYBRID", "products.yaml"])
def test_a_name_that_is_not_served_is_refused_without_being_repeated(folder: Path, name: str) -> None:
    with pytest.raises(ProfileInvalid) as raised:
        profile_named(name, served_profiles(folder))
    assert raised.value.field == "profile"
    assert "hybrid+rerank" in raised.value.message
    assert name not in raised.value.message or name in ("", "products.yaml")


def test_a_callers_name_is_never_a_path(folder: Path) -> None:
    with pytest.raises(ProfileInvalid):
        profile_named(str(folder / "products.yaml"), served_profiles(None))
