"""What a bundle and the files in it may be called."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from sidecar.errors import ManifestInvalid

__all__ = [
    "CARD",
    "FOLDS",
    "GRAPH",
    "MANIFEST",
    "MAX_MANIFEST_BYTES",
    "NAME_PATTERN",
    "QUERY_WEIGHTS",
    "TOKENIZER",
    "is_inside",
    "require_name",
]

MANIFEST = "manifest.json"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
QUERY_WEIGHTS = "query_weights.json"
FOLDS = "folds.json"
CARD = "README.md"
"""Files of a bundle."""

MAX_MANIFEST_BYTES: Final = 1 << 20

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


def require_name(name: str) -> str:
    """Return a bundle's name; raise ManifestInvalid for what can't be one, before anything is made under it."""
    if re.fullmatch(NAME_PATTERN.rstrip("$"), name) is None:
        raise ManifestInvalid(
            f"{name!r} can't be a bundle's name: 1 to 128 letters (a to z), digits, dots, dashes and underscores, the "
            "first of them a letter or a digit.",
            field="name",
        )
    return name


def is_inside(path: str) -> bool:
    """Tell whether `path` is a plain relative POSIX path that stays below its folder."""
    pure = PurePosixPath(path)
    return (
        path not in ("", ".")
        and not pure.is_absolute()
        and ".." not in pure.parts
        and pure.as_posix() == path
        and not any(character in path for character in "\\:\0")
    )
