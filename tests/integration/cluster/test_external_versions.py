"""What an application meets that numbers the versions of its documents itself, as the documentation says."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import ReconcileRun
from sidecar.engine import Engine
from sidecar.errors import EngineRejected

pytestmark = pytest.mark.integration


async def test_a_vector_raises_the_version_by_one(engine: Engine, client: AsyncSidecarClient, bare_index: str) -> None:
    async def put(version: int, text: str) -> None:
        path = f"/{bare_index}/_doc/1?version={version}&version_type=external&refresh=true"
        await engine.send("PUT", path, {"text": text})

    async def reconcile() -> int:
        with DeadLetters(None) as letters:
            return (await ReconcileRun(engine, client, bare_index, letters).run()).written

    await put(5, "a lamp with a long arm")
    assert await reconcile() == 1
    with pytest.raises(EngineRejected, match="409"):
        await put(6, "boils a litre of water")
    await put(1_795_366_864_000, "boils a litre of water")
    assert await reconcile() == 1
    assert (await engine.read("GET", f"/{bare_index}/_doc/1"))["_version"] == 1_795_366_864_001
    await put(1_795_366_865_000, "throws a narrow beam")
