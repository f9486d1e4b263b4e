"""What index templates give to a new index by its name alone, whatever the request that makes it says."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.errors import EngineRejected, InvalidInput

__all__ = ["INGEST_SETTINGS", "NO_PIPELINE", "Inherited", "read_inherited", "take_aliases"]

INGEST_SETTINGS = ("index.default_pipeline", "index.final_pipeline")
"""What changes documents on their way in: it belongs to the index that is written to, and never runs on copies."""

NO_PIPELINE = "_none"
"""The clusters' word for an ingest pipeline that is none, where a template would name one."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """Aliases, and names of ingest pipelines by their setting, that an index of that name is born with."""

    aliases: tuple[str, ...] = ()
    pipelines: Mapping[str, str] = field(default_factory=dict)

    def require_no_alias(self, index: str) -> None:
        """Raise InvalidInput where the new index would be searched, or written to, before it is filled."""
        if self.aliases:
            raise InvalidInput(
                f"An index template gives every index named like {index} the alias {', '.join(self.aliases)}: it would"
                " be searched and written to before it is filled. Give --into a name that the template does not match"
                " (its settings and mapping are copied from the old index anyway), or take the alias out of the"
                " template. Nothing was changed.",
                field="into",
            )


async def read_inherited(engine: Engine, index: str) -> Inherited:
    """Return what the templates give to an index of that name; nothing where this user may not see them."""
    try:
        answer = await engine.read("POST", path_of("_index_template", "_simulate_index", index))
        if "template" in answer:
            return _inherited([as_object(answer.get("template"))], index)
        # Those of the older kind apply where none of the newer one does.
        listed = await engine.find("/_template") or {}
    except EngineRejected:
        return Inherited()
    return _inherited([as_object(one) for one in listed.values() if _matches(as_object(one), index)], index)


async def take_aliases(engine: Engine, index: str) -> None:
    """Take away the aliases that a new index was born with, whoever gave them."""
    answer = await engine.find(path_of(index, "_alias")) or {}
    given = sorted(as_object(as_object(answer.get(index)).get("aliases")))
    actions: list[JsonValue] = [{"remove": {"index": index, "alias": alias}} for alias in given]
    if actions:
        await engine.send("POST", "/_aliases", {"actions": actions})


def _inherited(templates: list[JsonObject], index: str) -> Inherited:
    aliases: set[str] = set()
    pipelines: dict[str, str] = {}
    for template in templates:
        aliases |= {alias.replace("{index}", index) for alias in as_object(template.get("aliases"))}
        settings = as_object(template.get("settings"))
        inner = as_object(settings.get("index"))
        for setting in INGEST_SETTINGS:
            value = settings.get(setting, inner.get(setting.removeprefix("index.")))
            if isinstance(value, str) and value != NO_PIPELINE:
                pipelines[setting] = value
    return Inherited(tuple(sorted(aliases)), pipelines)


def _matches(template: JsonObject, index: str) -> bool:
    patterns = template.get("index_patterns")
    return isinstance(patterns, list) and any(fnmatch.fnmatchcase(index, str(one)) for one in patterns)
