"""The JSON files of `mappings/`: from the repository, or from the wheel that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from sidecar.domain import JsonObject, JsonValue
from sidecar.errors import UnsupportedEngine

__all__ = ["existing_template", "index_template", "json_file", "mappings_folder"]

FOLDERS = {"neural_sparse": "rank_features", "rank_features_saturation": "rank_features"}
"""Dialects that differ from another one in their queries only."""


def mappings_folder() -> Path:
    """Return the folder of the JSON files: the wheel's `sidecar/_data/mappings`, or the repository's `mappings`."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_data" / "mappings"
    return shipped if shipped.is_dir() else package.parent / "mappings"


def index_template(dialect: str, fields: Mapping[str, str], source_fields: tuple[str, ...]) -> JsonObject:
    """Return the body that creates an index.

    `fields` maps the names in the file (`content`, `splade`, `splade_hash`, and what else the dialect needs) to the
    names wanted. Every source field gets the mapping that `text` has in the file; a lexical field that is a source
    field itself gets no copies.
    """
    body = json_file(FOLDERS.get(dialect, dialect), "index.json")
    mappings = _object(body["mappings"])
    given = _object(mappings["properties"])
    properties: dict[str, JsonValue] = {}
    lexical = fields["content"]
    for source in source_fields:
        pattern = dict(_object(given["text"]))
        if lexical in source_fields:
            pattern.pop("copy_to", None)
        else:
            pattern["copy_to"] = lexical
        properties[source] = pattern
    for name, wanted in fields.items():
        if wanted not in properties:
            properties[wanted] = given[name]
    return {**body, "mappings": {**mappings, "properties": properties}}


def existing_template(dialect: str, fields: Mapping[str, str]) -> JsonObject:
    """Return the fields that an index which exists is given; `fields` as for `index_template`."""
    given = _object(json_file(FOLDERS.get(dialect, dialect), "existing.json")["properties"])
    return {"properties": {fields[name]: mapping for name, mapping in given.items()}}


def json_file(folder: str, name: str) -> JsonObject:
    """Return a file of `mappings/` as it is."""
    path = mappings_folder() / folder / name
    try:
        return _object(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        raise UnsupportedEngine(f"There is no {name} for {folder} in {path.parent.parent}.") from None
    except orjson.JSONDecodeError as error:
        raise UnsupportedEngine(f"{path} is no valid JSON: {error}.") from None


def _object(value: JsonValue) -> JsonObject:
    if not isinstance(value, Mapping):
        raise UnsupportedEngine("A file of mappings/ does not have the layout it needs: see mappings/README.md.")
    return value
