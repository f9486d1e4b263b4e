"""The same sparse encoder without and with a lexical floor."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from sidecar.bundle import Bundle, LexicalFloor
from sidecar.bundle.names import MANIFEST
from sidecar.inference.tokens import TextTokenizer

__all__ = ["with_floor", "without_floor"]

FLOOR = 0.7
"""The floor's weight where the bundle has none of its own: found best when the floor was first measured."""


def without_floor(bundle: Bundle, work: Path) -> Bundle:
    """Return the bundle as it is where it has no floor, else a copy that has none."""
    return bundle if bundle.manifest.lexical_floor is None else _variant(bundle, None, work)


def with_floor(bundle: Bundle, texts: Sequence[str], work: Path) -> Bundle:
    """Return the bundle as it is where it has a floor, else a copy with BM25's constants for these texts' lengths."""
    if bundle.manifest.lexical_floor is not None:
        return bundle
    lengths = [len(ids) for ids in TextTokenizer(bundle.file("tokenizer.json")).ids_of_all(texts)]
    mean = sum(lengths) / max(1, len(lengths))
    return _variant(bundle, LexicalFloor(weight=FLOOR, average_length=round(max(1.0, mean), 1)), work)


def _variant(bundle: Bundle, floor: LexicalFloor | None, work: Path) -> Bundle:
    """Copy the bundle under another manifest, and so under another fingerprint."""
    manifest = bundle.manifest.model_copy(update={"lexical_floor": floor})
    folder = work / "variants" / f"{manifest.name}-{manifest.fingerprint[:12]}"
    if not (folder / MANIFEST).exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(bundle.folder, partial)
        (partial / MANIFEST).write_bytes(manifest.to_json())
        partial.rename(folder)
    return Bundle.open(folder)
