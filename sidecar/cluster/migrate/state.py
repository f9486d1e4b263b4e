"""Reading and writing what an index says about its migration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine import META_KEY, Engine, IndexMeta, MigrationRecord, MigrationState, require_one_name
from sidecar.errors import EngineUnavailable, InvalidInput

__all__ = ["Migrating", "enter", "look", "now", "require_open"]


@dataclass(frozen=True, slots=True)
class Migrating:
    """An index as it is: its own name, its mapping, the model that is searched, and its migration, if one is open."""

    index: str
    mapping: JsonObject
    active: IndexMeta
    record: MigrationRecord | None

    @property
    def entries(self) -> JsonObject:
        """All of `_meta`."""
        meta = self.mapping.get("_meta")
        return meta if isinstance(meta, Mapping) else {}


async def look(engine: Engine, index: str) -> Migrating:
    """Read the state of one index; raise InvalidInput where the name stands for several, and IndexNotPrepared."""
    require_one_name(index)
    mappings = await engine.mappings(index)
    if len(mappings) != 1:
        raise InvalidInput(f"{index} stands for {len(mappings)} indices: migrate them one by one.", field="index")
    name, mapping = next(iter(mappings.items()))
    meta = mapping.get("_meta")
    entries: Mapping[str, object] = meta if isinstance(meta, Mapping) else {}
    return Migrating(name, mapping, IndexMeta.parse(name, entries.get(META_KEY)), MigrationRecord.parse(name, entries))


async def require_open(engine: Engine, index: str, *states: MigrationState) -> tuple[Migrating, MigrationRecord]:
    """Read the state of an index that is being migrated, in one of `states` (none given: any).

    Raises InvalidInput, with what can be done instead.
    """
    found = await look(engine, index)
    record = found.record
    if record is None:
        raise InvalidInput(
            f"{found.index} is not being migrated: `sidecar migrate start --index {index}` begins.", field="index"
        )
    if states and record.state not in states:
        raise InvalidInput(f"{found.index}: {_instead(record.state, index)}", field="index")
    return found, record


async def enter(engine: Engine, index: str, changes: JsonObject, *, forget: Collection[str] = ()) -> None:
    """Write entries of `_meta` in one request, without those of `forget`, and leave all others as they are.

    The cluster replaces `_meta` as a whole and knows no condition for it. So it is read right before it is written and
    once more afterwards: raises EngineUnavailable where somebody else wrote in between. Then nothing is half done, and
    the same command can be repeated.
    """
    present = (await look(engine, index)).entries
    wanted: JsonObject = {**{key: value for key, value in present.items() if key not in forget}, **changes}
    await engine.put_mapping(index, {"_meta": wanted})
    written = (await look(engine, index)).entries
    ours: dict[str, JsonValue] = {**dict.fromkeys(forget), **changes}
    if any(written.get(key) != value for key, value in ours.items()):
        raise EngineUnavailable(f"Somebody else changed the record of {index} at the same time: run it again.")


def now() -> str:
    """Return the time for a record: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _instead(state: MigrationState, index: str) -> str:
    match state:
        case MigrationState.FILLING:
            return "the new model is not searched yet: `sidecar migrate swap` comes first, `abort` gives it up."
        case MigrationState.SWAPPED:
            return "the new model is searched already: `sidecar migrate rollback` or `drop` are what is left."
        case MigrationState.DROPPING:
            return f"the old model is being taken out: repeat `sidecar migrate drop --index {index}` until it is done."
        case MigrationState.ABORTING:
            return f"the new model is being taken out: repeat `sidecar migrate abort --index {index}` until it is done."
