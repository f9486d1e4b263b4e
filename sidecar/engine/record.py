"""What all records of an index's `_meta` share: a key, and that one of another version is refused as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.domain import JsonObject
from sidecar.errors import IndexNotPrepared

__all__ = ["MetaRecord"]


class MetaRecord(BaseModel):
    """A record that an index may have, beside the one of its model. Frozen; unknown keys are refused.

    `KEY` is the record's key under a mapping's `_meta`; `ABOUT` is what it records, for messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    KEY: ClassVar[str]
    ABOUT: ClassVar[str]

    @classmethod
    def parse(cls, index: str, meta: object) -> Self | None:
        """Read the record from a mapping's `_meta`; None where there is none.

        Raises IndexNotPrepared where it is of another version of ours.
        """
        found = meta.get(cls.KEY) if isinstance(meta, Mapping) else None
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValidationError:
            raise IndexNotPrepared(f"Index {index}: the record of {cls.ABOUT} is not one this version reads.") from None

    def to_mapping(self) -> JsonObject:
        """Return the part of a mapping's `_meta`."""
        return {self.KEY: self.model_dump(mode="json")}
