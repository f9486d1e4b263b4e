"""What an index leaves out of `_source`: it is lost whenever a document is written anew from there.

Every `_update` does that, whichever fields it is about: what stood in the index and not in `_source` is not found any
more, and no error says so.
"""

from __future__ import annotations

from collections.abc import Collection

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.errors import InvalidInput

__all__ = ["require_stored", "unstored"]


def unstored(mapping: JsonObject, written: Collection[str] = ()) -> str | None:
    """Say what a mapping leaves out of `_source`, but for the top-level fields `written`; None: nothing."""
    source = as_object(mapping.get("_source"))
    if str(source.get("enabled", "true")).lower() == "false":
        return "everything"
    excluded = [name for name in _names(source.get("excludes")) if _is_lost(name, written)]
    if excluded:
        return ", ".join(excluded)
    included = _names(source.get("includes"))
    return f"all but {', '.join(included)}" if included and "*" not in included else None


def require_stored(index: str, mapping: JsonObject, written: Collection[str]) -> None:
    """Raise InvalidInput where writing a document anew would lose something; `written` are fields that it brings."""
    lost = unstored(mapping, written)
    if lost is not None:
        raise InvalidInput(
            f"Index {index} leaves {lost} out of _source. A vector is added, or taken out, by writing the document anew"
            " from there: what is left out would be lost, without an error. Nothing was changed. Write whole documents"
            " by `sidecar index` or SparseWriter, or make an index that keeps them whole.",
            field="index",
        )


def _is_lost(pattern: str, written: Collection[str]) -> bool:
    return pattern.partition(".")[0] not in written


def _names(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(name) for name in value] if isinstance(value, list | tuple) else []
