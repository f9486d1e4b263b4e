"""What two indices say about a change of the model from one to the other: `_meta.splade_sidecar_second_index`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.domain import JsonObject
from sidecar.errors import IndexNotPrepared

__all__ = ["SECOND_INDEX_KEY", "SecondIndexRecord"]

SECOND_INDEX_KEY = "splade_sidecar_second_index"
"""Key of the record under a mapping's `_meta`; absent where no such migration is open."""


class SecondIndexRecord(BaseModel):
    """A migration of an application's index name, an alias, from index `first` to index `second`. Frozen.

    Both indices carry it, so that it is found from either; how far it is counts in `second` alone. Which of them is
    searched and written to is said by the alias, and only there. Times are ISO 8601, UTC: `begun`; `verified`, of the
    last verification that passed; `switching`, since when a switch is under way, for which writes are refused; and
    `switched`, of the last swap or roll-back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    alias: str
    first: str
    second: str
    begun: str
    verified: str | None = None
    switching: str | None = None
    switched: str | None = None

    @classmethod
    def parse(cls, index: str, meta: object) -> SecondIndexRecord | None:
        """Read the record from a mapping's `_meta`; None where no such migration is open.

        Raises IndexNotPrepared where it is of another version of ours.
        """
        found = meta.get(SECOND_INDEX_KEY) if isinstance(meta, Mapping) else None
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValidationError:
            raise IndexNotPrepared(
                f"Index {index}: the record of its migration to another index is not one this version reads."
            ) from None

    def to_mapping(self) -> JsonObject:
        """Return the part of a mapping's `_meta`."""
        return {SECOND_INDEX_KEY: self.model_dump(mode="json")}
