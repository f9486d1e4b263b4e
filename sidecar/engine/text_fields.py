"""Which fields of an index are searched by words, and which of them hold the encoded text: a sparse query may stand in
for a search of no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine.meta import IndexMeta

__all__ = ["TEXT_TYPES", "field_types", "text_fields"]

SEARCH_AS_YOU_TYPE = "search_as_you_type"

TEXT_TYPES = frozenset({"text", "match_only_text", "annotated_text", SEARCH_AS_YOU_TYPE})
"""Types of field that are searched by words."""


def text_fields(mappings: Mapping[str, JsonObject], meta: IndexMeta) -> frozenset[str]:
    """Return the fields that are searched by words and hold what was encoded, by the mapping of each index.

    They are the source fields and the combined one, their sub-fields, their aliases and what they are copied to, as far
    as they are text in every index that has them. A field that no index has yet counts: nothing is found in it.
    """
    known = [dict(_flat(mapping)) for mapping in mappings.values()]
    roots = {*meta.source_fields, meta.lexical_field}
    found = set(roots)
    for fields in known:
        copies = {target for name in meta.source_fields for target in _names(fields.get(name, {}).get("copy_to"))}
        found |= {name for root in roots | copies for name in (root, *_below(fields, root))}
        found |= {name for name, field in fields.items() if field.get("type") == "alias" and field.get("path") in found}
    return frozenset(name for name in found if all(_is_text(fields, name) for fields in known if name in fields))


def field_types(mappings: Mapping[str, JsonObject]) -> dict[str, frozenset[str]]:
    """Return the types that each field has in the indices that have it, by the mapping of each index.

    Sub-fields are among them, and aliases, with the types of what they stand for; fields in nested objects are not.
    """
    found: dict[str, set[str]] = {}
    for mapping in mappings.values():
        fields = dict(_flat(mapping))
        for name in fields:
            kind = _type_of(fields, name)
            found.setdefault(name, set()).add(kind)
            if kind == SEARCH_AS_YOU_TYPE:
                for below in _below(fields, name):
                    if below not in fields:
                        found.setdefault(below, set()).add("text")
    return {name: frozenset(types) for name, types in found.items()}


def _flat(mapping: JsonObject, prefix: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Yield the fields of a mapping by their full names; those in nested objects are out of a plain clause's reach."""
    for name, value in as_object(mapping.get("properties")).items():
        field = as_object(value)
        if "properties" in field:
            if field.get("type") != "nested":
                yield from _flat(field, f"{prefix}{name}.")
            continue
        yield prefix + name, field
        for below, part in as_object(field.get("fields")).items():
            yield f"{prefix}{name}.{below}", as_object(part)


def _below(fields: Mapping[str, JsonObject], root: str) -> Iterator[str]:
    yield from (f"{root}.{name}" for name in as_object(fields.get(root, {}).get("fields")))
    if fields.get(root, {}).get("type") == SEARCH_AS_YOU_TYPE:
        yield from (f"{root}.{name}" for name in ("_2gram", "_3gram", "_4gram"))


def _is_text(fields: Mapping[str, JsonObject], name: str) -> bool:
    return _type_of(fields, name) in TEXT_TYPES


def _type_of(fields: Mapping[str, JsonObject], name: str) -> str:
    """Return a field's type, or that of the field that it is an alias of; `object` where the mapping names none."""
    field = fields[name]
    if field.get("type") == "alias":
        field = fields.get(str(field.get("path")), {})
    return str(field.get("type", "object"))


def _names(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [name for name in value if isinstance(name, str)] if isinstance(value, Sequence) else []
