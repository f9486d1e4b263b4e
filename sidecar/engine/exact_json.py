"""JSON whose numbers keep their values: whole numbers of any size, and fractions with all their digits.

Clusters keep a document as it came. Python's readers make a double of a fraction, and orjson also of a whole number
beyond 64 bits: read and written again, the document would be another one, and nothing would say so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal

import orjson

from sidecar.domain import JsonValue
from sidecar.errors import InvalidInput, MalformedText

__all__ = ["ExactFloat", "exact_number", "exactly", "read_json", "to_json"]

SHORT = 16
"""Characters of a fraction that a double holds whatever they are: 15 digits and the point."""

LONG = re.compile(rb"[0-9.]{17}|[eE][+-]?[0-9]{3}")
"""What a number has that orjson may round. It may stand in a text, too, which costs time and nothing else."""

LEAST, LARGEST = -(2**63), 2**64 - 1
"""The whole numbers that orjson writes."""


class ExactFloat(float):
    """A number that no double is: it counts as the nearest one, equals only itself, and is written as it was read."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> ExactFloat:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # what a copy is made of is the text
        return (self.text,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExactFloat) and other.text == self.text

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.text)


def exact_number(text: str) -> float:
    """Return a JSON number with a point or an exponent: a plain float wherever that keeps its value."""
    number = float(text)
    if len(text) <= SHORT and "e" not in text and "E" not in text:
        return number
    return number if _keeps(number, text) else ExactFloat(text)


def read_json(data: bytes) -> JsonValue:
    """Read JSON in UTF-8; raise orjson.JSONDecodeError, also for a number that is infinite as a double."""
    return exactly(orjson.loads(data), data)


def exactly(found: JsonValue, data: bytes) -> JsonValue:
    """Return what orjson `found` in `data`, with all digits of its numbers.

    Raises orjson.JSONDecodeError where long numbers lie deeper than the slower reader goes.
    """
    if not LONG.search(data):
        return found
    try:
        # The standard library is slower, and takes what is no JSON; by now it is known to be some.
        exact: JsonValue = json.loads(data.decode("utf-8"), parse_float=exact_number)
    except RecursionError:
        raise orjson.JSONDecodeError("objects and lists lie too deep within each other", "", 0) from None
    return exact


def to_json(value: object, *, indent: bool = False) -> bytes:
    """Serialise what JSON has, and dataclasses as objects.

    Raises MalformedText for lone surrogates, InvalidInput for what JSON can't hold.
    """
    option = orjson.OPT_INDENT_2 if indent else None
    try:
        try:
            return orjson.dumps(value, default=_as_read, option=option)
        except TypeError as error:
            if "64-bit" not in str(error):
                raise
            return orjson.dumps(_spelled(value), default=_as_read, option=option)
    except TypeError as error:
        if "surrogate" in str(error) or "UTF-8" in str(error):
            raise MalformedText("A text is no valid Unicode: it holds lone surrogates.") from None
        raise InvalidInput("A value can't be written as JSON.") from None
    except ValueError:
        raise InvalidInput("A whole number has too many digits to be written as JSON.") from None


def _keeps(number: float, text: str) -> bool:
    if number == 0.0:
        return not text.lower().partition("e")[0].strip("-.0")
    return math.isfinite(number) and Decimal(text) == Decimal(repr(number))


def _as_read(value: object) -> orjson.Fragment:
    if isinstance(value, ExactFloat):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} can't be written as JSON.")


def _spelled(value: object) -> object:
    """Return a value with whole numbers that orjson does not write as they are written."""
    match value:
        case bool():
            return value
        case int() if not LEAST <= value <= LARGEST:
            return orjson.Fragment(str(value))
        case Mapping():
            return {name: _spelled(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_spelled(inner) for inner in value]
        case _ if is_dataclass(value):
            return {field.name: _spelled(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
