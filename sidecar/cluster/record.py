"""What `sidecar setup` did to a cluster: kept in the index's mapping, so that `sidecar teardown` undoes just that."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sidecar.engine.record import MetaRecord

__all__ = ["SETUP_KEY", "SettingChange", "SetupRecord"]

SETUP_KEY = "splade_sidecar_setup"
"""Key of the record under a mapping's `_meta`, beside the one of `sidecar.engine.meta`."""


class SettingChange(BaseModel):
    """One persistent cluster setting, before and after; None: not set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: JsonValue
    after: JsonValue


class SetupRecord(MetaRecord):
    """What was made for one index.

    `added_fields` were added to the mapping of an index that existed. `connector` is the sidecar's address in the
    connectors; they and their models have names that follow from the index's.
    """

    KEY: ClassVar[str] = SETUP_KEY
    ABOUT: ClassVar[str] = "what setup did"

    schema_version: Literal[1] = 1
    created_index: bool = False
    added_fields: tuple[str, ...] = ()
    index_template: str | None = None
    search_pipeline: str | None = None
    ingest_pipeline: str | None = None
    connector: str | None = None
    cluster_settings: dict[str, SettingChange] = Field(default_factory=dict)

    def template_notes(self, bundle: str) -> tuple[str, ...]:
        """Return what has to be said about the index template where another model takes the place of `bundle`."""
        if self.index_template is None:
            return ()
        return (
            f"The template {self.index_template} still makes indices for {bundle}: run setup with --template for one of"
            " the new model's indices.",
        )
