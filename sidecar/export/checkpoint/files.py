"""JSON files of a checkpoint folder: a damaged one is named, not raised as whatever reading it ends in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from sidecar.errors import UnsupportedCheckpoint

__all__ = ["read_json", "read_object"]


def read_json(path: Path) -> object:
    """Return what the file holds; raise UnsupportedCheckpoint where it is missing, unreadable or no JSON."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UnsupportedCheckpoint(f"{path} is missing.") from None
    except OSError as error:
        raise UnsupportedCheckpoint(f"{path} can't be read ({error.strerror or error}).") from None
    except orjson.JSONDecodeError as error:
        raise UnsupportedCheckpoint(f"{path} is no JSON: {error}.") from None


def read_object(path: Path) -> Mapping[str, object]:
    """Return the JSON object that the file holds; raise UnsupportedCheckpoint for anything else."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise UnsupportedCheckpoint(f"{path} is no JSON object.")
    return values
