"""Zip files of bundles, unpacked once into a cache folder named after the file's own hash.

Only what the manifest lists is ever written, under the names the manifest allows, and no more bytes than the limit.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from sidecar.bundle.manifest import Manifest
from sidecar.bundle.names import MANIFEST, MAX_MANIFEST_BYTES, is_inside
from sidecar.errors import BundleCorrupt, BundleError, ManifestInvalid

__all__ = ["MAX_BUNDLE_BYTES", "cache_folder", "unpack"]

MAX_BUNDLE_BYTES = 8 << 30
MOVES = 20
"""How often a copy is moved to its place, where others take theirs there and away meanwhile."""

MAX_ENTRIES = 10_000


def cache_folder() -> Path:
    """Return where unpacked bundles live: `SIDECAR_CACHE`, else `XDG_CACHE_HOME` or ~/.cache.

    Raises BundleError where none of them is there: containers run under user ids that have no home.
    """
    own = os.environ.get("SIDECAR_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "splade-sidecar"
    except RuntimeError:
        raise BundleError(
            "This user has no home directory to keep a cache in: set SIDECAR_CACHE to a folder that can be written, or"
            " unpack the bundle and name its folder."
        ) from None


def unpack(archive: Path, *, max_bytes: int = MAX_BUNDLE_BYTES, anew: bool = False) -> Path:
    """Return the folder of the unpacked `archive`, unpacking it where that was not done before, or `anew`.

    The archive holds the bundle's files at its top, or in one folder. Raises BundleCorrupt for an archive that is
    damaged, larger than `max_bytes` or that names a path outside itself; ManifestInvalid without a good manifest;
    BundleError where the cache can't be written; OSError where the archive can't be read.
    """
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache_folder() / "bundles" / digest
    if (target / MANIFEST).is_file() and not anew:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{digest[:16]}-", dir=target.parent))
    except OSError as error:
        raise _unwritable(error) from None
    try:
        with zipfile.ZipFile(archive) as opened:
            _extract(opened, partial, max_bytes)
        if anew:
            _discard(target)
        _move(partial, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleCorrupt(f"{archive.name} is not a readable .zip file: {error}.") from error
    except OSError as error:
        # What a damaged archive's offsets before its beginning end in.
        if error.errno == errno.EINVAL:
            raise BundleCorrupt(f"{archive.name} is not a readable .zip file: {error.strerror}.") from None
        raise _unwritable(error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _unwritable(error: OSError) -> BundleError:
    return BundleError(
        f"The cache {cache_folder()} can't be written ({error.strerror or error}); set SIDECAR_CACHE to a folder that"
        " can, or unpack the bundle and name its folder."
    )


def _extract(archive: zipfile.ZipFile, folder: Path, max_bytes: int) -> None:
    entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    if len(entries) > MAX_ENTRIES:
        raise BundleCorrupt(f"The .zip file has more than {MAX_ENTRIES:,} entries: that is no bundle.")
    if not all(is_inside(name) for name in entries):
        raise BundleCorrupt("The .zip file names a path outside itself: it is refused.")
    manifest_entry = _manifest_entry(entries)
    if manifest_entry.file_size > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"manifest.json is larger than {MAX_MANIFEST_BYTES:,} bytes.")
    data = archive.read(manifest_entry)
    manifest = Manifest.parse(data, f"{MANIFEST} in {archive.filename}")
    root = manifest_entry.filename.removesuffix(MANIFEST)
    listed = {name: entries.get(root + name) for name in manifest.files}
    if sum(entry.file_size for entry in listed.values() if entry) > max_bytes:
        raise BundleCorrupt(f"The .zip file unpacks to more than {max_bytes:,} bytes: it is refused.")
    for name, entry in listed.items():
        if entry is None:
            raise BundleCorrupt(f"Bundle {manifest.name}: {name} is listed in manifest.json and missing.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    (folder / MANIFEST).write_bytes(data)


def _manifest_entry(entries: dict[str, zipfile.ZipInfo]) -> zipfile.ZipInfo:
    found = [name for name in entries if PurePosixPath(name).name == MANIFEST and name.count("/") <= 1]
    at_top = [name for name in found if "/" not in name]
    if len(at_top or found) != 1:
        raise ManifestInvalid("The .zip file needs one manifest.json, at its top or in its one folder.")
    return entries[(at_top or found)[0]]


def _discard(target: Path) -> None:
    """Take a damaged copy away in one step: nobody finds half of it, and who has its files open keeps them."""
    grave = Path(tempfile.mkdtemp(prefix=".damaged-", dir=target.parent))
    try:
        target.rename(grave / target.name)
    except FileNotFoundError:
        pass
    finally:
        shutil.rmtree(grave, ignore_errors=True)


def _move(partial: Path, target: Path) -> None:
    for left in reversed(range(MOVES)):
        try:
            partial.rename(target)
        except OSError as error:
            if (target / MANIFEST).is_file():
                # Another process was faster: a folder named after the hash holds the same files.
                return
            if not left or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Half a copy that somebody left, or a whole one that another process takes away just now.
            _discard(target)
        else:
            return
