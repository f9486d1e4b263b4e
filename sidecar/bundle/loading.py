"""Opening a bundle: a folder or a .zip of one, every listed file checked against its sha256."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sidecar.bundle.manifest import Manifest
from sidecar.bundle.names import MANIFEST, MAX_MANIFEST_BYTES
from sidecar.bundle.unpacking import unpack
from sidecar.errors import BundleCorrupt, BundleError, BundleNotFound, ManifestInvalid

__all__ = ["Bundle"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model on disk that is what its manifest says.

    Usage:
        bundle = Bundle.open(find_bundle("splade-sidecar-starter-sparse-v1"))
        session = InferenceSession(bundle.file("model.onnx"))
    """

    folder: Path
    manifest: Manifest
    fingerprint: str

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True) -> Bundle:
        """Open the bundle at `path`, a folder or a .zip file, and hash its files unless `verify` is off.

        A .zip is unpacked once into the cache (`SIDECAR_CACHE`), and again where its copy there was damaged. Files
        that the manifest does not list are ignored.
        Raises BundleNotFound, ManifestInvalid, BundleCorrupt, and BundleError where the system lets nobody read it or
        write to the cache.
        """
        path = Path(path)
        try:
            return cls._open(path, verify)
        except OSError as error:
            raise BundleError(f"The bundle at {path} can't be read ({error.strerror or error}).") from None

    @classmethod
    def _open(cls, path: Path, verify: bool) -> Bundle:
        if path.is_file() and (path.suffix == ".zip" or zipfile.is_zipfile(path)):
            return cls._open_archive(path, verify)
        if not path.is_dir():
            raise BundleNotFound(f"There is no bundle at {path}: a folder or a .zip file is needed.")
        return cls._open_folder(path, verify)

    @classmethod
    def _open_archive(cls, archive: Path, verify: bool) -> Bundle:
        try:
            return cls._open_folder(unpack(archive), verify)
        except (BundleCorrupt, ManifestInvalid):
            # The copy in the cache may be what is damaged: the archive has the last word.
            return cls._open_folder(unpack(archive, anew=True), verify)

    @classmethod
    def _open_folder(cls, path: Path, verify: bool) -> Bundle:
        manifest = Manifest.parse(_read_manifest(path), str(path / MANIFEST))
        bundle = cls(folder=path, manifest=manifest, fingerprint=manifest.fingerprint)
        for name in manifest.files:
            if not (path / name).is_file():
                raise BundleCorrupt(f"Bundle {manifest.name}: {name} is listed in manifest.json and missing.")
        if verify:
            bundle.verify()
        return bundle

    def verify(self) -> None:
        """Hash every listed file; raise BundleCorrupt naming the first that differs."""
        for name, expected in self.manifest.files.items():
            with (self.folder / name).open("rb") as stream:
                actual = hashlib.file_digest(stream, "sha256").hexdigest()
            if actual != expected:
                raise BundleCorrupt(
                    f"Bundle {self.manifest.name}: {name} has sha256 {actual[:16]}… and the manifest says "
                    f"{expected[:16]}…. The file was changed or damaged: fetch or export the bundle again."
                )

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest lists; raise BundleNotFound where it lists none such."""
        if name not in self.manifest.files:
            raise BundleNotFound(f"Bundle {self.manifest.name} has no file {name}.")
        return self.folder / name

    def has(self, name: str) -> bool:
        """Tell whether the manifest lists the file."""
        return name in self.manifest.files


def _read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not path.is_file():
        raise ManifestInvalid(f"{folder} is no bundle: it has no {MANIFEST}.")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"{path} is larger than {MAX_MANIFEST_BYTES:,} bytes.")
    return path.read_bytes()
