"""Value objects for what a cluster answers to a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from sidecar.domain import JsonObject, JsonValue, as_object
from sidecar.engine.failures import Cause, from_cause
from sidecar.errors import EngineRejected

__all__ = ["Hit", "SearchResponse", "shards_unread"]


def shards_unread(answer: JsonObject) -> int:
    """Return how many shards an answer lacks.

    A shard that no node has is among the `total` and not among the `failed`: only what is `successful` answered.
    """
    shards = as_object(answer.get("_shards"))
    failed = _integer(shards.get("failed"))
    return max(failed, _integer(shards.get("total")) - _integer(shards.get("successful", shards.get("total"))))


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit. `source` never holds the vector; `score` is 0.0 where the search sorts by something else.

    `routing` is the one that the document was written with; None: with none.
    """

    id: str
    score: float
    source: JsonObject = field(default_factory=dict)
    index: str = ""
    routing: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """One answer. `total` is None where it was not counted; `raw` is the whole body as it came.

    `shards_unread` > 0 or `timed_out` mean that documents may be missing from the hits.
    """

    hits: tuple[Hit, ...]
    took_ms: int
    total: int | None
    raw: JsonObject
    timed_out: bool = False
    shards_unread: int = 0

    @classmethod
    def parse(cls, body: JsonObject) -> Self:
        outer = as_object(body.get("hits"))
        listed = outer.get("hits")
        total = outer.get("total")
        counted = total.get("value") if isinstance(total, Mapping) else total
        return cls(
            hits=tuple(_hit(as_object(item)) for item in listed) if isinstance(listed, list) else (),
            took_ms=_integer(body.get("took")),
            total=counted if isinstance(counted, int) else None,
            raw=body,
            timed_out=body.get("timed_out") is True,
            shards_unread=shards_unread(body),
        )

    @classmethod
    def parse_each(cls, answer: JsonObject, bodies: Sequence[JsonObject]) -> tuple[Self, ...]:
        """Read the answer to several searches, in the order of their `bodies`; raise for the first that failed.

        The error's field names its place. Raises EngineRejected where there are not as many answers as bodies.
        """
        parts = answer.get("responses")
        if not isinstance(parts, list) or len(parts) != len(bodies):
            raise EngineRejected("The cluster answered another number of searches than it was sent.")
        responses: list[Self] = []
        for place, part in enumerate(parts):
            error = part.get("error")
            if error is not None:
                failed = from_cause(Cause.parse(_integer(part.get("status")) or 500, error), sent=bodies[place])
                failed.field = f"bodies[{place}]"
                raise failed
            responses.append(cls.parse(part))
        return tuple(responses)


def _hit(item: JsonObject) -> Hit:
    score, routing = item.get("_score"), item.get("_routing")
    return Hit(
        id=str(item.get("_id", "")),
        score=float(score) if isinstance(score, int | float) else 0.0,
        source=as_object(item.get("_source")),
        index=str(item.get("_index", "")),
        routing=routing if isinstance(routing, str) else None,
    )


def _integer(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
