"""What an index says about itself: `_meta.splade_sidecar` of its mapping."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from sidecar.domain import JsonObject, Pruning
from sidecar.engine.passages import PassageRule
from sidecar.errors import FingerprintMismatch, IndexNotPrepared, InvalidInput
from sidecar.validation import first_invalid

__all__ = ["META_KEY", "IndexMeta", "is_field_name"]

META_KEY = "splade_sidecar"
"""Key of the record under a mapping's `_meta`."""

LONGEST_NAME = 255
_NAME = r"^[^\s*#,]+$"

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=_NAME)]


def is_field_name(name: str) -> bool:
    """Tell whether a field of that name can stand in a record."""
    return len(name) <= LONGEST_NAME and re.fullmatch(_NAME, name) is not None


class IndexMeta(BaseModel):
    """Which model encoded an index, and into which fields. Frozen; unknown keys are refused.

    `fingerprint` is the bundle's, in hex; `pruning` is the rule the documents were encoded with. `passages`: documents
    have a vector for each of their passages, and `vector_field` is nested; None: one vector for the whole text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bundle: str = Field(min_length=1)
    dialect: str = "rank_features"
    vector_field: FieldName = "splade"
    hash_field: FieldName = "splade_hash"
    source_fields: tuple[FieldName, ...] = Field(default=("title", "text"), min_length=1)
    lexical_field: FieldName = "content"
    pruning: Pruning = Pruning()
    passages: PassageRule | None = None

    @classmethod
    def parse(cls, index: str, record: object) -> IndexMeta:
        """Read the record of `index`; raise IndexNotPrepared where it is absent or of another version of ours."""
        if record is None:
            raise IndexNotPrepared(f"Index {index} was never set up: run `sidecar setup --index {index}` first.")
        try:
            return cls.model_validate(record)
        except InvalidInput as error:
            raise IndexNotPrepared(f"Index {index}: its record is invalid: {error.message}") from None
        except ValidationError as error:
            problem = first_invalid(error)
            where = problem.where or META_KEY
            raise IndexNotPrepared(
                f"Index {index}: its record is not one this version reads, at {where}: {problem.what}."
            ) from None

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave a record without passages as versions that know none of them read it."""
        record: dict[str, object] = handler(self)
        if self.passages is None:
            record.pop("passages", None)
        return record

    def to_mapping(self) -> JsonObject:
        """Return the value of a mapping's `_meta`."""
        record: JsonObject = self.model_dump(mode="json")
        return {META_KEY: record}

    def require_fingerprint(self, fingerprint: str, index: str) -> None:
        """Raise FingerprintMismatch unless the index was encoded by the model with `fingerprint`."""
        if fingerprint != self.fingerprint:
            raise FingerprintMismatch(
                f"Index {index} holds vectors of {self.bundle} ({self.fingerprint[:16]}), the model at hand is"
                f" {fingerprint[:16]}: serve {self.bundle}, or set up a new index for the new model."
            )
