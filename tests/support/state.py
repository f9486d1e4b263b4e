"""A cluster's state, without what changes by itself, so that before and after can be compared."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.engine import Engine

__all__ = ["cluster_state"]

MOVING = {
    "aliases_version",
    "in_sync_allocations",
    "index-graveyard",
    "cluster_coordination",
    "mapping_version",
    "primary_terms",
    "rollover_info",
    "settings_version",
    "split_shards_metadata",
    "version",
}
"""Counters, and the list of indices that were deleted."""

MADE_UP = {"creation_date", "uuid", "provided_name"}
"""Settings that a cluster makes up for each index; `provided_name` is the name it was asked for."""


async def cluster_state(engine: Engine, *, keep_identity: bool = True) -> object:
    """Return templates, pipelines, settings, and every index's mapping and settings.

    `keep_identity` False leaves out what differs between two indices made alike.
    """
    answer = await engine.read("GET", "/_cluster/state/metadata", timeout=30.0)
    metadata = _still(answer["metadata"], MOVING if keep_identity else MOVING | MADE_UP)
    assert isinstance(metadata, dict)
    # Once there was a template, there is an empty list of templates.
    return {key: value for key, value in metadata.items() if value not in ({}, {key: {}})}


def _still(value: object, moving: set[str]) -> object:
    if isinstance(value, Mapping):
        return {key: _still(inner, moving) for key, inner in value.items() if key not in moving}
    if isinstance(value, list):
        return [_still(inner, moving) for inner in value]
    return value
