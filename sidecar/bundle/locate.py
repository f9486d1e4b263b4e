"""From a name or path to a bundle's place on disk."""

from __future__ import annotations

import os
from pathlib import Path

from sidecar.bundle.names import MANIFEST
from sidecar.errors import BundleNotFound

__all__ = [
    "STARTERS",
    "STARTER_NEURAL",
    "STARTER_RERANKER",
    "STARTER_SPARSE",
    "bundle_folders",
    "default_bundle_folder",
    "find_bundle",
    "installed_bundles",
]

STARTER_SPARSE = "splade-sidecar-starter-sparse-v1"
STARTER_NEURAL = "splade-sidecar-starter-neural-v1"
STARTER_RERANKER = "splade-sidecar-starter-reranker-v1"
STARTERS = (STARTER_SPARSE, STARTER_RERANKER)
"""Bundles that are served where nothing else is named. STARTER_NEURAL comes with the package too: to compare."""


def bundle_folders() -> tuple[Path, ...]:
    """Return the folders that hold bundles by name, in order of precedence, whether they exist or not.

    `SIDECAR_BUNDLES` (one folder, or several joined by the system's path separator), ./models, the starters.
    """
    own = tuple(Path(part) for part in os.environ.get("SIDECAR_BUNDLES", "").split(os.pathsep) if part)
    package = Path(__file__).resolve().parents[1]
    shipped = (package / "_data" / "models",)
    checkout = (package.parent / "models",) if (package.parent / "pyproject.toml").is_file() else ()
    return tuple(dict.fromkeys((*own, Path("models"), *shipped, *checkout)))


def default_bundle_folder() -> Path:
    """Return where a new bundle goes when no place is named: the first folder of `SIDECAR_BUNDLES`, or ./models."""
    return bundle_folders()[0]


def find_bundle(name_or_path: Path | str) -> Path:
    """Return the folder or .zip of the bundle at that path, or of that name; raise BundleNotFound."""
    try:
        return _find(Path(name_or_path), str(name_or_path))
    except OSError as error:
        place = error.filename or name_or_path
        raise BundleNotFound(f"{place} can't be looked up ({error.strerror or error}).") from None


def _find(given: Path, name_or_path: str) -> Path:
    if _is_bundle(given):
        return given
    is_name = len(given.parts) == 1 and not given.is_absolute() and name_or_path not in (".", "..")
    if is_name:
        for folder in bundle_folders():
            for candidate in (folder / given.name, folder / f"{given.name}.zip"):
                if _is_bundle(candidate):
                    return candidate
    if given.is_dir():
        raise BundleNotFound(f"{given} is no bundle: it has no {MANIFEST}.")
    if given.exists():
        raise BundleNotFound(f"{given} is no bundle: a folder or a .zip file is needed.")
    if not is_name:
        raise BundleNotFound(f"There is no bundle at {given}.")
    known = ", ".join(sorted({bundle_name(path) for path in installed_bundles()})) or "none"
    raise BundleNotFound(
        f"No bundle is called {given.name}. Known here: {known}. `sidecar models pull` fetches one; "
        "SIDECAR_BUNDLES names a folder of your own."
    )


def installed_bundles() -> tuple[Path, ...]:
    """Return every bundle that can be named, in order of precedence; of two of one name, the one that is found."""
    found: dict[str, Path] = {}
    for folder in bundle_folders():
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if _is_bundle(path):
                    found.setdefault(bundle_name(path), path)
    return tuple(found.values())


def bundle_name(path: Path) -> str:
    """Return the name by which `find_bundle` finds the bundle at `path`."""
    return path.stem if path.suffix == ".zip" else path.name


def _is_bundle(path: Path) -> bool:
    return (path / MANIFEST).is_file() or (path.suffix == ".zip" and path.is_file())
