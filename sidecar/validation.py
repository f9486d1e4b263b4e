"""What pydantic found wrong with a value, in words that a person can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

__all__ = ["InvalidValue", "first_invalid"]


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
        location = detail.get("loc")
        parts = location if isinstance(location, tuple) else ()
        return cls(".".join(str(part) for part in parts), str(detail.get("msg")).removeprefix("Value error, "))


def first_invalid(error: ValidationError) -> InvalidValue:
    """Return the first of what is wrong."""
    return InvalidValue.of(dict(error.errors(include_url=False, include_input=False)[0]))
