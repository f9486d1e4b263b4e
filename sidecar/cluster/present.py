"""Which indices are there. A bulk request makes one that is not: without its mapping, of whatever is written to it."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.engine import META_KEY, Engine
from sidecar.engine.transport import path_of
from sidecar.errors import EngineError, IndexNotFound

__all__ = ["present", "require_present"]

ASKED_AT_ONCE = 50
"""Names in one request: its first line has at most 4 KiB."""

RECORD = f"*.mappings._meta.{META_KEY}.fingerprint"


async def present(engine: Engine, indices: Iterable[str]) -> frozenset[str]:
    """Return which of these indices, by their own names, there are and have a record; raises EngineErrors.

    One that was deleted, and made again by somebody's write, has none.
    """
    names = sorted(set(indices))
    found: set[str] = set()
    for start in range(0, len(names), ASKED_AT_ONCE):
        asked = path_of(",".join(names[start : start + ASKED_AT_ONCE]), "_mapping")
        found.update(await engine.find(asked, {"ignore_unavailable": "true", "filter_path": RECORD}) or {})
    return frozenset(found)


async def require_present(engine: Engine, name: str, written: int) -> None:
    """Raise IndexNotFound where an index or alias that documents are `written` to is not there any more.

    A cluster that does not say is none that has lost it: what becomes of each document tells what is wrong.
    """
    try:
        there = await present(engine, [name])
    except EngineError:
        return
    if not there:
        raise IndexNotFound(
            f"{name} is not there any more, or was made anew without its record; {written} documents are written. Set"
            " it up, and run the same command again."
        )
