"""A new bundle's place: taken in one step, given back where that fails, and never anybody else's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sidecar.errors import ExportError
from sidecar.export.placing import appearing, require_place


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_what_was_written_takes_the_place(tmp_path: Path) -> None:
    with appearing(tmp_path / "deep" / "out") as folder:
        (folder / "file").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out" / "file").read_text() == "new"


def test_what_fails_leaves_the_old_one(tmp_path: Path) -> None:
    out = bundle(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), appearing(out) as folder:
        (folder / "file").write_text(str(1 // 0))
    assert names(tmp_path) == ["out"]
    assert names(out) == ["manifest.json"]


def test_the_old_one_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = bundle(tmp_path / "out")
    move = os.replace

    def stubborn(source: Path, target: Path) -> None:
        if source.name == "bundle":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        move(source, target)

    monkeypatch.setattr(os, "replace", stubborn)
    with pytest.raises(ExportError, match=r"out can't be written \(Input/output error\)"), appearing(out) as folder:
        (folder / "file").write_text("new")
    assert names(tmp_path) == ["out"]
    assert names(out) == ["manifest.json"]


def test_a_disk_that_is_full_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as refused, appearing(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert refused.value.message == (
        f"{tmp_path}/out can't be written (No space left on device): nothing was left there."
    )
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal = r"can't be written \((File exists|Not a directory)\)"
    with pytest.raises(ExportError, match=refusal), appearing(tmp_path / "file" / "out"):
        pass


def test_places_that_are_free(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    require_place(tmp_path / "empty", replace=False)
    require_place(tmp_path / "none", replace=False)
    require_place(bundle(tmp_path / "out"), replace=True, source=tmp_path / "elsewhere")


def test_places_that_are_taken(tmp_path: Path) -> None:
    out = bundle(tmp_path / "out")
    with pytest.raises(ExportError, match="exists already"):
        require_place(out, replace=False)
    with pytest.raises(ExportError, match="lies in"):
        require_place(out, replace=True, source=out / "checkpoint")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="exists already"):
        require_place(tmp_path / "link", replace=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    for other in (tmp_path / "link", tmp_path / "folder"):
        with pytest.raises(ExportError, match="is no bundle: it is not replaced"):
            require_place(other, replace=True)
