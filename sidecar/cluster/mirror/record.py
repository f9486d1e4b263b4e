"""What two indices say about a change of the model from one to the other: `_meta.splade_sidecar_second_index`."""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.engine.record import MetaRecord

__all__ = ["SECOND_INDEX_KEY", "SecondIndexRecord"]

SECOND_INDEX_KEY = "splade_sidecar_second_index"
"""Key of the record under a mapping's `_meta`; absent where no such migration is open."""


class SecondIndexRecord(MetaRecord):
    """A migration of an application's index name, an alias, from index `first` to index `second`.

    Both indices carry it, so that it is found from either; how far it is counts in `second` alone. Which of them is
    searched and written to is said by the alias, and only there. Times are ISO 8601, UTC: `begun`; `verified`, of the
    last verification that passed; `switching`, since when a switch is under way, for which writes are refused; and
    `switched`, of the last swap or roll-back.
    """

    KEY: ClassVar[str] = SECOND_INDEX_KEY
    ABOUT: ClassVar[str] = "its migration to another index"

    schema_version: Literal[1] = 1
    alias: str
    first: str
    second: str
    begun: str
    verified: str | None = None
    switching: str | None = None
    switched: str | None = None
