"""Bundles in .zip files: unpacked once, only what the manifest lists, and nothing that leads out of the archive."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import threading
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.bundle import Bundle, unpacking, write_bundle, zip_bundle
from sidecar.bundle.unpacking import cache_folder, unpack
from sidecar.errors import BundleCorrupt, BundleError, BundleNotFound, ManifestInvalid
from tests.support.bundles import SPARSE_ENCODER


def test_a_zip_file_is_the_same_bundle(folder: Path, tmp_path: Path, cache: Path):
    bundle = Bundle.open(zip_bundle(folder, tmp_path / "bundle.zip"))
    assert bundle.fingerprint == Bundle.open(folder).fingerprint
    assert bundle.folder.is_relative_to(cache)
    assert bundle.file("model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_a_zip_file_of_the_folder_itself(folder: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"some-name/{path.name}")
    assert Bundle.open(tmp_path / "bundle.zip").fingerprint == Bundle.open(folder).fingerprint


def test_a_zip_file_without_the_ending(folder: Path, tmp_path: Path):
    zip_bundle(folder, tmp_path / "download")
    assert Bundle.open(tmp_path / "download").manifest.name == "placeholder-sparse"


def test_packing_twice_gives_the_same_bytes(folder: Path, tmp_path: Path):
    first = zip_bundle(folder, tmp_path / "1.zip").read_bytes()
    (folder / "model.onnx").touch()
    assert zip_bundle(folder, tmp_path / "2.zip").read_bytes() == first


def test_a_zip_file_is_unpacked_once(folder: Path, tmp_path: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    first = unpack(archive)
    marked = (first / "model.onnx").stat().st_mtime_ns
    assert unpack(archive) == first
    assert (first / "model.onnx").stat().st_mtime_ns == marked


def test_many_processes_may_unpack_at_once(folder: Path, tmp_path: Path, cache: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(unpack(archive))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in (cache / "bundles").iterdir()] == [found[0].name]


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_a_damaged_copy_in_the_cache_is_unpacked_again(folder: Path, tmp_path: Path, cache: Path, damage: str):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    copy = unpack(archive)
    if damage == "missing":
        (copy / "model.onnx").unlink()
    else:
        (copy / {"changed": "model.onnx", "manifest": "manifest.json"}[damage]).write_bytes(b"changed")
    bundle = Bundle.open(archive)
    assert bundle.folder == copy
    assert bundle.fingerprint == Bundle.open(folder).fingerprint
    assert [path.name for path in (cache / "bundles").iterdir()] == [copy.name]


def test_half_a_copy_that_somebody_left_is_made_whole(folder: Path, tmp_path: Path, cache: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    copy = unpack(archive)
    (copy / "manifest.json").unlink()
    assert Bundle.open(archive).fingerprint == Bundle.open(folder).fingerprint
    assert [path.name for path in (cache / "bundles").iterdir()] == [copy.name]


def test_a_copy_that_is_taken_away_between_two_looks_is_moved_again(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    copy = unpack(archive)
    rename, taken = Path.rename, []

    def renamed(self: Path, target: Path) -> Path:
        try:
            return rename(self, target)
        except OSError:
            # Whoever was faster finds its own copy damaged, and takes it away, before anybody looks at it.
            taken.append(rename(target, tmp_path / "taken"))
            raise

    monkeypatch.setattr(unpacking, "_discard", lambda target: None)
    monkeypatch.setattr(Path, "rename", renamed)
    assert unpack(archive, anew=True) == copy
    assert len(taken) == 1
    assert Bundle.open(archive).fingerprint == Bundle.open(folder).fingerprint


def test_many_who_find_a_damaged_copy_open_the_whole_one(folder: Path, tmp_path: Path, cache: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    (unpack(archive) / "model.onnx").write_bytes(b"changed")
    failed: list[BaseException] = []

    def mend() -> None:
        try:
            unpack(archive, anew=True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=mend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert Bundle.open(archive).fingerprint == Bundle.open(folder).fingerprint
    assert len(list((cache / "bundles").iterdir())) == 1


def pack(archive: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return archive


def entries_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil"])
def test_a_zip_file_that_climbs_out_is_refused(folder: Path, tmp_path: Path, cache: Path, name: str):
    archive = pack(tmp_path / "bundle.zip", {**entries_of(folder), name: b"evil"})
    with pytest.raises(BundleCorrupt, match="outside itself"):
        Bundle.open(archive)
    assert not list(tmp_path.rglob("*evil*"))
    assert not list(cache.rglob("model.onnx"))


def test_what_the_manifest_does_not_list_is_not_unpacked(folder: Path, tmp_path: Path, cache: Path):
    archive = pack(tmp_path / "bundle.zip", {**entries_of(folder), "setup.py": b"import os"})
    Bundle.open(archive)
    assert not list(cache.rglob("setup.py"))


def test_a_link_in_a_zip_file_is_no_link_once_unpacked(folder: Path, tmp_path: Path):
    entries = entries_of(folder)
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            if name == "model.onnx":
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                content = b"/etc/hostname"
            archive.writestr(entry, content)
    with pytest.raises(BundleCorrupt, match=r"model\.onnx has sha256"):
        Bundle.open(tmp_path / "bundle.zip")


def test_a_zip_file_that_unpacks_to_too_much_is_refused(folder: Path, tmp_path: Path, cache: Path):
    (folder / "model.onnx").write_bytes(bytes(5_000_000))
    write_bundle(folder, SPARSE_ENCODER)
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    assert archive.stat().st_size < 50_000
    with pytest.raises(BundleCorrupt, match="more than 1,000,000 bytes"):
        unpack(archive, max_bytes=1_000_000)
    assert not list(cache.rglob("model.onnx"))


def test_a_zip_file_with_a_missing_file(folder: Path, tmp_path: Path):
    entries = entries_of(folder)
    del entries["tokenizer.json"]
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json is listed in manifest\.json and missing"):
        Bundle.open(pack(tmp_path / "bundle.zip", entries))


def test_a_zip_file_with_a_changed_file(folder: Path, tmp_path: Path):
    archive = pack(tmp_path / "bundle.zip", {**entries_of(folder), "model.onnx": b"changed"})
    with pytest.raises(BundleCorrupt, match=r"model\.onnx has sha256"):
        Bundle.open(archive)


@pytest.mark.parametrize(
    "entries", [{}, {"a/b/manifest.json": b"{}"}, {"a/manifest.json": b"", "b/manifest.json": b""}]
)
def test_a_zip_file_without_one_manifest(tmp_path: Path, entries: dict[str, bytes]):
    with pytest.raises(ManifestInvalid, match=r"needs one manifest\.json"):
        Bundle.open(pack(tmp_path / "bundle.zip", entries))


def test_a_manifest_in_a_zip_file_is_named_with_the_archive(folder: Path, tmp_path: Path):
    entries = entries_of(folder)
    archive = pack(tmp_path / "cut.zip", {**entries, "manifest.json": entries["manifest.json"][:40]})
    with pytest.raises(ManifestInvalid) as cut:
        Bundle.open(archive)
    assert cut.value.message.startswith(f"manifest.json in {archive} is invalid: ")


def test_a_zip_file_cut_in_the_middle(folder: Path, tmp_path: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(BundleCorrupt, match=r"not a readable \.zip"):
        Bundle.open(archive)


def test_a_zip_file_whose_parts_lie_before_its_beginning(folder: Path, tmp_path: Path):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    changed = bytearray(archive.read_bytes())
    changed[-4] ^= 0x80  # where the list of parts begins, in the record at the end
    archive.write_bytes(changed)
    with pytest.raises(BundleCorrupt, match=r"not a readable \.zip"):
        Bundle.open(archive)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_a_zip_file_with_one_changed_byte_never_gives_another_bundle(folder: Path, tmp_path: Path, data: st.DataObject):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    expected = Bundle.open(folder).fingerprint
    intact = archive.read_bytes()
    place = data.draw(st.integers(0, len(intact) - 1))
    changed = tmp_path / "changed.zip"
    changed.write_bytes(intact[:place] + bytes([intact[place] ^ data.draw(st.integers(1, 255))]) + intact[place + 1 :])
    try:
        bundle = Bundle.open(changed)
    except (BundleCorrupt, ManifestInvalid, BundleNotFound):
        return
    # A time stamp or a permission: nothing that is read.
    assert bundle.fingerprint == expected


def test_the_cache_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("SIDECAR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "splade-sidecar"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "splade-sidecar"


def test_a_cache_that_can_not_be_made_is_one_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIDECAR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BundleError) as refused:
        Bundle.open(archive)
    assert refused.value.message == (
        f"The cache {tmp_path}/file/cache can't be written (Not a directory); set SIDECAR_CACHE to a folder that can,"
        " or unpack the bundle and name its folder."
    )


def test_a_disk_that_is_full_leaves_nothing_behind(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        with pytest.raises(BundleError, match=r"can't be written \(No space left on device\); set SIDECAR_CACHE"):
            Bundle.open(archive)
    assert list((cache / "bundles").iterdir()) == []
    assert Bundle.open(archive).manifest.name == "placeholder-sparse"


def test_a_user_without_a_home_is_told_of_the_setting(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(_: int) -> NoReturn:
        raise KeyError("no such user")

    archive = zip_bundle(folder, tmp_path / "bundle.zip")
    for name in ("SIDECAR_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(BundleError, match=r"no home directory.*SIDECAR_CACHE"):
        Bundle.open(archive)
