"""What tests of streams send and read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.client import StreamOutcome

pytestmark = pytest.mark.integration


def batches(count: int, size: int = 3) -> list[list[str]]:
    return [[f"some text of batch {batch % 10} line {line}" for line in range(size)] for batch in range(count)]


async def collected(outcomes: AsyncIterator[StreamOutcome]) -> dict[int, StreamOutcome]:
    found: dict[int, StreamOutcome] = {}
    async for outcome in outcomes:
        assert outcome.position not in found
        found[outcome.position] = outcome
    return found
