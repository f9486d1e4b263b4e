"""Second requests of a search: for documents that it found already."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain import JsonObject
from sidecar.engine import Engine, SearchResponse

__all__ = ["asked"]


async def asked(
    engine: Engine, index: str, bodies: Sequence[JsonObject], *, timeout: float
) -> tuple[SearchResponse, ...]:
    """Return the cluster's answers, in the order of `bodies`; there is one body where `parts_of` made one part."""
    if len(bodies) == 1:
        return (await engine.search(index, bodies[0], timeout=timeout),)
    return await engine.multi_search(index, bodies, timeout=timeout)
