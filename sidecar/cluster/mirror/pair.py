"""The two indices of a migration as they are, and which of them the application's name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.domain import JsonObject, as_object
from sidecar.engine import META_KEY, Engine, IndexMeta, require_one_name
from sidecar.engine.transport import path_of
from sidecar.errors import IndexNotFound, InvalidInput

__all__ = ["Pair", "Side", "find_pair", "names_behind", "require_pair"]


@dataclass(frozen=True, slots=True)
class Side:
    """One index: its own name, its mapping, the model of its vectors, and its aliases with their definitions."""

    name: str
    mapping: JsonObject
    meta: IndexMeta
    aliases: Mapping[str, JsonObject]

    @property
    def entries(self) -> JsonObject:
        """All of `_meta`."""
        return as_object(self.mapping.get("_meta"))


@dataclass(frozen=True, slots=True)
class Pair:
    """A migration with both indices; None for one that is not made yet, or deleted already."""

    record: SecondIndexRecord
    first: Side | None
    second: Side | None

    @property
    def serving(self) -> Side:
        """The index that the application's name stands for; raises InvalidInput where it stands for neither."""
        for side in (self.first, self.second):
            if side is not None and self.record.alias in side.aliases:
                return side
        raise InvalidInput(
            f"The alias {self.record.alias} was taken from {self.record.first} and {self.record.second}: give it back"
            " to the one that is to be searched.",
            field="index",
        )

    @property
    def other(self) -> Side:
        """The index that is kept as a copy; raises InvalidInput where there is none."""
        other = self.second if self.serving is self.first else self.first
        if other is None:
            raise InvalidInput(
                f"{self.record.alias} has one index only: repeat the `sidecar migrate` command that was cut short"
                " (`start`, `drop` or `abort`).",
                field="index",
            )
        return other

    @property
    def swapped(self) -> bool:
        """Whether the new index is the one that is searched."""
        return self.serving is self.second


async def find_pair(engine: Engine, index: str) -> Pair | None:
    """Return the migration that an alias, or one of its two indices, takes part in; None where none is open.

    Raises IndexNotFound, IndexNotPrepared, and InvalidInput where the name stands for several indices.
    """
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        return None
    name, mapping = next(iter(mappings.items()))
    known = SecondIndexRecord.parse(name, mapping.get("_meta"))
    if known is None:
        return None
    # Both in one request: in the middle of a switch, the alias is seen on one of them.
    aliases = await engine.read(
        "GET", path_of(f"{known.first},{known.second}", "_alias"), {"ignore_unavailable": "true"}
    )
    first = await _read_side(engine, known.first, aliases)
    second = await _read_side(engine, known.second, aliases)
    progress = None if second is None else SecondIndexRecord.parse(second.name, second.entries)
    return Pair(progress or known, first, second)


async def require_pair(engine: Engine, index: str) -> Pair:
    """Return what `find_pair` returns; raise InvalidInput where no such migration is open."""
    require_one_name(index)
    found = await find_pair(engine, index)
    if found is None:
        raise InvalidInput(f"{index} is not being migrated into a second index.", field="index")
    return found


async def _read_side(engine: Engine, name: str, aliases: JsonObject) -> Side | None:
    """Return one index by its own name; None where there is none of this migration."""
    try:
        mapping = (await engine.mappings(name)).get(name)
    except IndexNotFound:
        return None
    entries = {} if mapping is None else as_object(mapping.get("_meta"))
    if mapping is None or SecondIndexRecord.parse(name, entries) is None:
        return None
    found = as_object(as_object(aliases.get(name)).get("aliases"))
    meta = IndexMeta.parse(name, entries.get(META_KEY))
    return Side(name, mapping, meta, {alias: as_object(definition) for alias, definition in found.items()})


async def names_behind(engine: Engine, alias: str) -> tuple[str, ...]:
    """Return the indices that an alias stands for at this moment."""
    answer = await engine.find(path_of("_alias", alias))
    return tuple(sorted(answer or {}))
