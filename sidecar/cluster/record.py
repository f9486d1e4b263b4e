"""What `sidecar setup` did to a cluster: kept in the index's mapping, so that `sidecar teardown` undoes just that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sidecar.domain import JsonObject
from sidecar.errors import IndexNotPrepared

__all__ = ["SETUP_KEY", "SettingChange", "SetupRecord"]

SETUP_KEY = "splade_sidecar_setup"
"""Key of the record under a mapping's `_meta`, beside the one of `sidecar.engine.meta`."""


class SettingChange(BaseModel):
    """One persistent cluster setting, before and after; None: not set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: JsonValue
    after: JsonValue


class SetupRecord(BaseModel):
    """What was made for one index. Frozen; unknown keys are refused.

    `added_fields` were added to the mapping of an index that existed. `connector` is the sidecar's address in the
    connectors; they and their models have names that follow from the index's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    created_index: bool = False
    added_fields: tuple[str, ...] = ()
    index_template: str | None = None
    search_pipeline: str | None = None
    ingest_pipeline: str | None = None
    connector: str | None = None
    cluster_settings: dict[str, SettingChange] = Field(default_factory=dict)

    @classmethod
    def parse(cls, index: str, meta: object) -> SetupRecord | None:
        """Read the record from a mapping's `_meta`; None where setup left none.

        Raises IndexNotPrepared where it is of another version of ours.
        """
        found = meta.get(SETUP_KEY) if isinstance(meta, Mapping) else None
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValidationError:
            raise IndexNotPrepared(
                f"Index {index}: the record of what setup did is not one this version reads."
            ) from None

    def to_mapping(self) -> JsonObject:
        """Return the part of a mapping's `_meta`."""
        return {SETUP_KEY: self.model_dump(mode="json")}
