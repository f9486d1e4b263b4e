"""A caller who takes outcomes slowly is no sidecar that answers slowly."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.server.process import SidecarProcess

pytestmark = pytest.mark.integration

STALL_SECONDS = 0.5


async def test_time_spent_by_the_caller_is_no_stall(sidecar_process: SidecarProcess) -> None:
    batches = [[f"the search query {batch} {text}" for text in range(4)] for batch in range(4)]
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await client.encode(batches[0])
        outcomes = client.encode_stream(batches, in_flight=2, stall_timeout=STALL_SECONDS)
        positions = set()
        async with aclosing(outcomes) as stream:
            async for outcome in stream:
                outcome.unwrap()
                positions.add(outcome.position)
                await asyncio.sleep(2 * STALL_SECONDS)
    assert positions == set(range(len(batches)))
