"""Which indices callers may name. Names are literal: nothing in them may stand for another index."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from sidecar.engine.names import FORBIDDEN, is_one_name
from sidecar.errors import InvalidInput, NotAllowed, SettingsInvalid

__all__ = ["AllowedIndices"]

SETTING = "search_indices"

_PATTERN = re.compile(rf"(?![-_+])(?!\.{{1,2}}$)(?:\*|(?!{FORBIDDEN}).){{1,255}}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AllowedIndices:
    """Names and patterns; `*` stands for any characters, a leading dot for itself alone.

    Usage:
        AllowedIndices.of(["articles", "logs-*"]).check("logs-2026")
    """

    patterns: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Raise SettingsInvalid for a pattern that no name of an index could match."""
        listed = tuple(patterns)
        for pattern in listed:
            if not _PATTERN.fullmatch(pattern):
                raise SettingsInvalid(
                    f"Setting {SETTING}: {pattern!r} is no name of an index or alias, with * for any characters.",
                    field=SETTING,
                )
        return cls(listed)

    def check(self, index: str) -> None:
        """Return if callers may search `index`; raise InvalidInput where it is no single name, else NotAllowed.

        Whether there is such an index is not looked at: nobody learns that of one that is not listed.
        """
        if not is_one_name(index):
            raise InvalidInput("The index is one name of an index or alias, without wildcards.", field="index")
        if not any(_matches(pattern, index) for pattern in self.patterns):
            raise NotAllowed(
                f"This index is not searched here: what is, is listed by the operator in {SETTING}.", field="index"
            )


def _matches(pattern: str, name: str) -> bool:
    # As clusters have it: a dot in front hides an index from wildcards.
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
