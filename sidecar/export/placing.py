"""Where a new bundle goes: nothing but a bundle makes way for it, and it appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.bundle.names import MANIFEST
from sidecar.errors import ExportError

__all__ = ["appearing", "require_place"]


def require_place(out: Path, *, replace: bool, source: Path | None = None) -> None:
    """Raise ExportError where `out` is taken: by anything, or with `replace` by anything but a bundle.

    An empty folder takes no place. `source` is what the bundle is made from: it must not lie in what is replaced.
    """
    if not os.path.lexists(out):
        return
    try:
        if out.is_dir() and not any(out.iterdir()):
            return
    except OSError as error:
        raise ExportError(f"{out} can't be read ({error.strerror or error}).", field="out") from None
    if not replace:
        raise ExportError(f"{out} exists already: remove it, name another place, or replace it.", field="out")
    if not (out / MANIFEST).is_file():
        raise ExportError(f"{out} is no bundle: it is not replaced.", field="out")
    if source is not None and source.resolve().is_relative_to(out.resolve()):
        raise ExportError(f"{source} lies in {out}, which would be replaced: name another place.", field="out")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A scratch folder beside `out` that takes its place when the block ends well, and vanishes when it does not.

    Raises ExportError where the system lets nobody write there.
    """
    try:
        with _scratch(out) as scratch:
            folder = scratch / "bundle"
            folder.mkdir()
            yield folder
            _swap(folder, out, scratch / "previous")
    except OSError as error:
        raise ExportError(
            f"{out} can't be written ({error.strerror or error}): nothing was left there.", field="out"
        ) from error


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _swap(folder: Path, out: Path, previous: Path) -> None:
    there = os.path.lexists(out)
    if there:
        os.replace(out, previous)
    try:
        os.replace(folder, out)
    except OSError:
        if there:
            os.replace(previous, out)
        raise
