"""Noticing that an alias was pointed at another model's index while a search was under way.

Vectors of one model find nothing in the other one's index (a filter sees to that), so that scores never mix; but the
answer would lack what the sparse retriever finds. Hits say which index they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.engine import Engine, IndexMeta
from sidecar.search.encoding import Record

__all__ = ["ATTEMPTS", "has_left", "has_moved"]

ATTEMPTS = 5
"""How often a search begins anew because of a move; more of them in one search are no migration."""


async def has_moved(
    engine: Engine, index: str, record: Record, meta: IndexMeta, answers: Sequence[Iterable[str]]
) -> bool:
    """Return whether the name stands for another model's index by now; then `record` is the new one.

    `answers` holds the index of every hit, for each answer of the cluster. The cluster is asked only where one of
    them is from an unexpected index, or has no hits at all.
    """
    known = engine.holders(index, meta)
    found = [frozenset(names) for names in answers]
    if all(names and names <= known for names in found):
        return False
    return (await record.read()).fingerprint != meta.fingerprint


async def has_left(engine: Engine, index: str, record: Record, indices: Iterable[str]) -> bool:
    """Return whether the name no longer stands for one of `indices`, that hits came from; then `record` is read again.

    To be asked where documents that were found can't be fetched: they were deleted, or the name was pointed elsewhere.
    """
    meta = await record.read()
    return not frozenset(indices) <= engine.holders(index, meta)
