"""How long documents are waited for that a sidecar has and does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import encoding
from sidecar.cluster.encoding import Texts, encode_documents
from sidecar.domain import WHOLE_TEXT
from sidecar.engine import Engine
from sidecar.errors import DeadlineExceeded

pytestmark = pytest.mark.integration

BATCHES = 8
LARGEST_BATCH = 32
SLOWEST = 1.0
"""Documents a second: a large model that reads whole articles on one core."""


async def batches() -> AsyncIterator[Texts[str]]:
    for number in range(BATCHES):
        yield Texts((f"d{number}",), (f"what the search says about the query {number}",))


async def encoded(engine: Engine, client: AsyncSidecarClient, index: str) -> list[str]:
    meta = await engine.index_meta(index)
    found = encode_documents(client, batches(), meta, model=None, windows=WHOLE_TEXT, in_flight=BATCHES)
    return sorted([one.record async for part in found for one in part])


async def test_a_slow_model_may_take_its_time_over_all_that_is_in_flight(
    engine: Engine, client: AsyncSidecarClient, prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert encoding.STALL_SECONDS > BATCHES * LARGEST_BATCH / SLOWEST
    assert await encoded(engine, client, prepared) == [f"d{number}" for number in range(BATCHES)]
    monkeypatch.setattr(encoding, "STALL_SECONDS", 0.0)
    with pytest.raises(DeadlineExceeded, match="answered none of 8 batches for 0 s"):
        await encoded(engine, client, prepared)
