"""Finishing a bundle: hash what lies in the folder, then write its manifest."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

from pydantic import ValidationError

from sidecar.bundle.manifest import Manifest, ManifestDraft
from sidecar.bundle.names import MANIFEST
from sidecar.errors import ManifestInvalid
from sidecar.validation import first_invalid

__all__ = ["write_bundle", "zip_bundle"]


def write_bundle(folder: Path, draft: ManifestDraft) -> Manifest:
    """Hash every file in `folder` (hidden ones left out) and write `manifest.json` in one step.

    Returns the finished manifest; raises ManifestInvalid where the files do not fit the draft.
    """
    files = {name: _sha256(folder / name) for name in _files(folder)}
    try:
        manifest = Manifest.model_validate({**draft.model_dump(), "files": files})
    except ValidationError as error:
        problem = first_invalid(error)
        raise ManifestInvalid(f"The files in {folder} do not make this bundle: {problem.what}.") from None
    descriptor, temporary = tempfile.mkstemp(prefix=".manifest-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(manifest.to_json())
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(folder / MANIFEST)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return manifest


def zip_bundle(folder: Path, archive: Path) -> Path:
    """Write the bundle in `folder` to a .zip, byte for byte the same for the same files; return its path."""
    manifest = Manifest.parse((folder / MANIFEST).read_bytes())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in (MANIFEST, *sorted(manifest.files)):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (folder / name).open("rb") as source, opened.open(entry, "w", force_zip64=True) as sink:
                while block := source.read(1 << 20):
                    sink.write(block)
    return archive


def _files(folder: Path) -> list[str]:
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        name.as_posix()
        for name in names
        if name.as_posix() != MANIFEST and not any(part.startswith(".") for part in name.parts)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
