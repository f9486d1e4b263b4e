"""Taking fields out of every document of an index, in rounds: each may be cut short and begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sidecar.cluster.requests import Request
from sidecar.domain import JsonObject
from sidecar.engine import Engine
from sidecar.engine.transport import path_of
from sidecar.errors import DocumentsNotWritten, EngineOverloaded, EngineUnavailable

__all__ = ["ROUND_DOCUMENTS", "remove_fields", "removing_round"]

REMOVE_FIELDS = "for (name in params.fields) { ctx._source.remove(name); }"

ROUND_DOCUMENTS, FEWEST_DOCUMENTS = 10_000, 100
FRUITLESS_ROUNDS = 20

ROUND_SECONDS = 600.0
"""How long one round's answer is waited for. What stands between may cut it off sooner: rounds get smaller then."""


def removing_round(
    index: str,
    fields: Sequence[str],
    *,
    found_by: str,
    documents: int = ROUND_DOCUMENTS,
    rate: float | None = None,
    side_by_side: bool = False,
) -> Request:
    """Return the request of one round, which takes `fields` out of so many `documents` at most.

    It is answered when it is done. As a task of the cluster's own (`wait_for_completion=false`) it would leave its
    result in the index `.tasks`, which nobody may be allowed to take away. `side_by_side`: all shards at once.
    """
    body: JsonObject = {
        "query": {"exists": {"field": found_by}},
        "script": {"lang": "painless", "source": REMOVE_FIELDS, "params": {"fields": list(fields)}},
        "max_docs": documents,
    }
    pace = ("&slices=auto" if side_by_side else "") + ("" if rate is None else f"&requests_per_second={rate:g}")
    return Request("POST", f"{path_of(index, '_update_by_query')}?conflicts=proceed&refresh=true{pace}", body)


async def remove_fields(
    engine: Engine,
    index: str,
    fields: Sequence[str],
    *,
    found_by: str,
    rate: float | None = None,
    side_by_side: bool = False,
    progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Remove `fields` from all documents that have a value in the field `found_by`; return how many that were.

    A document that is written meanwhile is not overwritten, and taken in a later round. A round that is not answered,
    or turned away, is followed by a smaller one: the cluster goes on with it, and what it has not done is found again.
    `rate`: documents per second, at most; `side_by_side`: in all shards at once. `stopped` is asked between rounds.

    Raises DocumentsNotWritten where it was stopped, EngineUnavailable where documents are written faster than they can
    be changed or round after round has no answer, and EngineRejected for what the cluster refuses.
    """
    size = ROUND_DOCUMENTS if rate is None else max(1, min(ROUND_DOCUMENTS, int(rate * 60)))
    await engine.refresh(index)
    done = fruitless = 0
    while await engine.count(index, {"exists": {"field": found_by}}):
        if stopped():
            raise DocumentsNotWritten(
                f"Stopped: {done} documents of {index} were changed, and others are left. Run the same command again."
            )
        one = removing_round(index, fields, found_by=found_by, documents=size, rate=rate, side_by_side=side_by_side)
        why = "documents are written faster than they can be changed"
        try:
            answer = await engine.send(one.method, one.path, one.body, timeout=ROUND_SECONDS)
        except (EngineUnavailable, EngineOverloaded) as error:
            answer, why = {}, error.message.rstrip(".")
            size = min(size, max(size // 2, FEWEST_DOCUMENTS))
        updated = answer.get("updated")
        changed = updated if isinstance(updated, int) else 0
        fruitless = 0 if changed else fruitless + 1
        if fruitless > FRUITLESS_ROUNDS:
            raise EngineUnavailable(
                f"Documents of {index} could not be changed in {fruitless} rounds: {why}. Run the same command again."
            )
        if not changed:
            await asyncio.sleep(0.5)
            await engine.refresh(index)
        done += changed
        if progress is not None:
            progress(done)
    return done
