"""What pydantic found wrong with a value, in words that a person can use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

__all__ = ["InvalidValue", "first_invalid", "invalid_values"]

_UNKNOWN_KEY, _MISSING, _TOO_SHORT = "extra_forbidden", "missing", "too_short"

_KEYED = "must be a mapping: keys with values"

_WORDS = {
    _MISSING: "required, but missing",
    _UNKNOWN_KEY: "unknown key",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _KEYED),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_type": "must be a string",
    # Pydantic's own message repeats the value.
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is required, but missing",
    "invalid_key": "keys must be strings",
}
"""By pydantic's type of error, with its context filled in."""

_SHOULD = re.compile(r"^\w+ should (be|have) ")
_COUNTED = re.compile(r" after validation, not \d+$")


@dataclass(frozen=True, slots=True)
class InvalidValue:
    """`where` is the key that is wrong, dotted where it lies deeper and empty for the whole; `what` has no full stop.

    Neither holds the value itself, which may be a secret or a user's text.
    """

    where: str
    what: str

    @classmethod
    def of(cls, detail: Mapping[str, object]) -> Self:
        """Read one entry of `ValidationError.errors()`."""
        return cls(".".join(str(part) for part in _location(detail)), _said(detail))


def first_invalid(error: ValidationError) -> InvalidValue:
    """Return the first of what is wrong, unknown keys before all else."""
    return invalid_values(error)[0]


def invalid_values(error: ValidationError, model: type[BaseModel] | None = None) -> tuple[InvalidValue, ...]:
    """Return all that is wrong, unknown keys first: a misspelt key is why another one is missing.

    With the `model` that was validated, an unknown key is told with the known one that it resembles, the latter is not
    missed as well, and no union's tag stands in `where`.
    """
    unknown: list[InvalidValue] = []
    others: list[tuple[str, InvalidValue]] = []
    meant: set[str] = set()
    listed: set[tuple[str, ...]] = set()
    for detail in error.errors(include_url=False, include_input=False):
        kind = detail["type"]
        parts, known = _followed(model, detail["loc"])
        found = InvalidValue(".".join(parts), _said(dict(detail)))
        if kind != _UNKNOWN_KEY:
            others.append((kind, found))
            continue
        close = difflib.get_close_matches(parts[-1], known, n=1)
        meant.update(".".join((*parts[:-1], name)) for name in close)
        hint = f" (did you mean `{close[0]}`?)" if close else ""
        if known and not close and tuple(known) not in listed:
            listed.add(tuple(known))
            hint = f" (known here: {', '.join(known)})"
        unknown.append(replace(found, what=found.what + hint))
    told = [*unknown, *(found for _, found in others)]
    return (*unknown, *(found for kind, found in others if not _follows(kind, found, told, meant)))


def _follows(kind: str, found: InvalidValue, told: Sequence[InvalidValue], meant: Set[str]) -> bool:
    """Tell whether something else that is wrong is the reason: a misspelt key, or items that are not counted."""
    if kind == _MISSING:
        return found.where in meant
    return kind == _TOO_SHORT and any(one.where.startswith(f"{found.where}.") for one in told)


def _location(detail: Mapping[str, object]) -> tuple[str | int, ...]:
    location = detail.get("loc")
    return location if isinstance(location, tuple) else ()


def _said(detail: Mapping[str, object]) -> str:
    words, context = _WORDS.get(str(detail.get("type"))), detail.get("ctx")
    if words is not None:
        filled = {key: _in_backticks(key, value) for key, value in context.items()} if isinstance(context, dict) else {}
        return words.format_map(filled)
    message = str(detail.get("msg")).removeprefix("Value error, ")
    return _COUNTED.sub("", _SHOULD.sub(r"must \1 ", message))


def _in_backticks(key: object, value: object) -> str:
    return f"`{str(value).strip(chr(39))}`" if key == "discriminator" else str(value)


def _followed(model: type[BaseModel] | None, location: Sequence[str | int]) -> tuple[list[str], list[str]]:
    """Return a location's parts without the tags of unions, and the keys that are known where its last part stands."""
    here: list[object] = [] if model is None else [model]
    parts: list[str] = []
    known: list[str] = []
    for part in location:
        models = [one for one in here if isinstance(one, type) and issubclass(one, BaseModel)]
        tagged = [one for one in models if part in _tags(one)] if len(models) > 1 else []
        if tagged:
            here = list(tagged)
            continue
        known = [name for one in models for name in one.model_fields]
        parts.append(str(part))
        if isinstance(part, int):
            here = [item for one in here for item in _branches(get_args(one))]
        else:
            fields = [one.model_fields[part].annotation for one in models if part in one.model_fields]
            here = list(_branches(fields))
    return parts, known


def _branches(annotations: Iterable[object]) -> Iterator[object]:
    """Yield the types that may stand where one of `annotations` is, unions and metadata taken apart."""
    for annotation in annotations:
        origin = get_origin(annotation)
        if origin is Annotated:
            yield from _branches(get_args(annotation)[:1])
        elif origin in (Union, UnionType):
            yield from _branches(get_args(annotation))
        else:
            yield annotation


def _tags(model: type[BaseModel]) -> set[object]:
    annotations = (field.annotation for field in model.model_fields.values())
    return {value for one in annotations if get_origin(one) is Literal for value in get_args(one)}
