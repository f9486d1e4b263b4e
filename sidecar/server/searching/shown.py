"""Which fields of a document an answer shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["shown_source"]


def shown_source(source: Mapping[str, object], show: Sequence[str] | None) -> Mapping[str, object]:
    """Return the fields that `show` names; all where it is None, none where it is empty.

    A name is a field's path with dots (`author.name`), in which `*` stands for any characters; an object that is named
    is shown whole. Objects in lists are looked into. An object that shows nothing is left out.
    """
    if show is None:
        return source
    wanted = [re.compile(".*".join(map(re.escape, name.split("*"))), re.DOTALL) for name in show]
    return _of_object(source, "", wanted)


def _of_object(source: Mapping[str, object], above: str, wanted: Sequence[re.Pattern[str]]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in source.items():
        path = f"{above}{name}"
        if any(pattern.fullmatch(path) for pattern in wanted):
            kept[name] = value
        elif (inner := _of_value(value, f"{path}.", wanted)) is not None:
            kept[name] = inner
    return kept


def _of_value(value: object, above: str, wanted: Sequence[re.Pattern[str]]) -> object:
    """Return what is shown of a value that is not named itself; None where that is nothing."""
    if isinstance(value, Mapping):
        return _of_object(value, above, wanted) or None
    if isinstance(value, list):
        return [inner for item in value if (inner := _of_value(item, above, wanted)) is not None] or None
    return None
