"""Taking fields out of every document of an index, in rounds: each may be cut short and begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.errors import EngineUnavailable

__all__ = ["REMOVE_FIELDS", "remove_fields"]

REMOVE_FIELDS = "for (name in params.fields) { ctx._source.remove(name); }"

ROUND_DOCUMENTS = 10_000
FRUITLESS_ROUNDS = 20


async def remove_fields(
    engine: Engine,
    index: str,
    fields: Sequence[str],
    *,
    found_by: str,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Remove `fields` from all documents that have a value in the field `found_by`; return how many that were.

    A document that is written meanwhile is not overwritten, and taken in a later round. `rate`: documents per second,
    at most. Raises EngineUnavailable where documents are written faster than they can be changed.
    """
    size = ROUND_DOCUMENTS if rate is None else max(1, min(ROUND_DOCUMENTS, int(rate * 60)))
    body: JsonObject = {
        "query": {"exists": {"field": found_by}},
        "script": {"lang": "painless", "source": REMOVE_FIELDS, "params": {"fields": list(fields)}},
        "max_docs": size,
    }
    slow = "" if rate is None else f"&requests_per_second={rate:g}"
    path = f"{path_of(index, '_update_by_query')}?conflicts=proceed&refresh=true{slow}"
    await engine.refresh(index)
    done = fruitless = 0
    while await engine.count(index, {"exists": {"field": found_by}}):
        answer = await engine.send("POST", path, body, timeout=600.0)
        updated = answer.get("updated")
        changed = updated if isinstance(updated, int) else 0
        fruitless = 0 if changed else fruitless + 1
        if fruitless > FRUITLESS_ROUNDS:
            raise EngineUnavailable(f"Documents of {index} are written faster than they can be changed: run it again.")
        if not changed:
            await asyncio.sleep(0.5)
            await engine.refresh(index)
        done += changed
        if progress is not None:
            progress(done)
    return done
