"""The fields that a profile searches for words in are fields of the index: in any other, nothing is ever found."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.engine import Engine
from sidecar.engine.text_fields import TEXT_TYPES
from sidecar.errors import ProfileInvalid
from sidecar.search.encoding import Record
from sidecar.search.profile import Profile

__all__ = ["require_fields"]

SEARCHED_TYPES = TEXT_TYPES | {"keyword"}
"""A keyword is compared with the whole text of the query."""

NAMED_FIELDS = 20
"""Fields that a message names, at most."""


async def require_fields(engine: Engine, index: str, profile: Profile, record: Record) -> None:
    """Return, or raise ProfileInvalid: a field that the profile names is in no index behind the name, or is no text.

    It must be one in every index that has it. Before it is refused the mapping is read again: it may be a new field.
    Raises also what reading the record does.
    """
    meta = await record.get()
    wanted = () if profile.lexical is None else profile.lexical.field_names
    if not _unsearched(wanted, engine.field_types(index, meta)):
        return
    types = engine.field_types(index, await record.read())
    refused = _unsearched(wanted, types)
    if refused:
        raise ProfileInvalid(
            f"The profile {profile.name} searches for words in {', '.join(refused)}:"
            f" {'that is no text field' if len(refused) == 1 else 'those are no text fields'} of {index}."
            f" {_there(types)}",
            field="retrievers.fields",
        )


def _unsearched(wanted: tuple[str, ...], types: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what can't be searched of the `wanted` fields, each with the types that it has."""
    refused: list[str] = []
    for name in wanted:
        others = types.get(name, frozenset()) - SEARCHED_TYPES
        if others:
            refused.append(f"{name} ({', '.join(sorted(others))})")
        elif name not in types:
            refused.append(name)
    return refused


def _there(types: Mapping[str, frozenset[str]]) -> str:
    known = sorted(name for name, found in types.items() if found <= TEXT_TYPES)
    if not known:
        return "It has none."
    more = len(known) - NAMED_FIELDS
    return f"Name those that it has: {', '.join(known[:NAMED_FIELDS])}{f', and {more} more' if more > 0 else ''}."
