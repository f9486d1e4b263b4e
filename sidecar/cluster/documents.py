"""From a document and its vector to what is written into the index."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from sidecar.domain import Document, JsonObject, JsonValue, SparseVector
from sidecar.engine import BulkAction, Dialect, EncodedPassage, IndexMeta, vector_fields
from sidecar.errors import InvalidInput

__all__ = ["json_fields", "source_text", "text_hash", "write_action"]


def source_text(document_id: str, fields: Mapping[str, object], meta: IndexMeta) -> str:
    """Return the text that is encoded: the source fields joined by a space."""
    return Document(document_id, fields).text(meta.source_fields)


def text_hash(text: str) -> str:
    """Return the hash by which a changed text is found without encoding it: 128 bits of sha256, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def write_action(
    index: str,
    document_id: str,
    fields: JsonObject,
    text: str,
    vector: SparseVector | Sequence[EncodedPassage] | None,
    meta: IndexMeta,
    dialect: Dialect,
) -> BulkAction:
    """Return the whole-document write: the document's own fields, its vector with the sentinel, the text's hash.

    `vector` is one, or one for each passage, as the index's record says. None is a document without text: it has the
    hash and no vector field. What the document brings under the names of vector and hash field is replaced.
    """
    ours = {*dialect.written_fields(meta.vector_field), meta.hash_field}
    kept = {key: value for key, value in fields.items() if key not in ours}
    added: dict[str, JsonValue] = {meta.hash_field: text_hash(text)}
    if vector is not None:
        added.update(vector_fields(vector, meta, dialect))
    return BulkAction(index, document_id, {**kept, **added})


def json_fields(document: Document) -> JsonObject:
    """Return the fields of a document; raise InvalidInput where JSON has no such value."""
    fields: dict[str, JsonValue] = {}
    for name, value in document.fields.items():
        if value is not None and not isinstance(value, bool | int | float | str | list | dict):
            raise InvalidInput(f"The field {name} holds a {type(value).__name__}, which JSON can't.", field="fields")
        if not _is_finite(value):
            raise InvalidInput(f"The field {name} holds NaN or an infinite number, which JSON can't.", field="fields")
        fields[name] = value
    return fields


def _is_finite(value: JsonValue) -> bool:
    """Tell whether all numbers are; others would be written as null."""
    match value:
        case float():
            return math.isfinite(value)
        case Mapping():
            return all(map(_is_finite, value.values()))
        case list():
            return all(map(_is_finite, value))
        case _:
            return True
