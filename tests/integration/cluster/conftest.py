"""The encoder of the sidecar that all tests share, and an index that is set up for it."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.domain import ModelInfo
from sidecar.engine import Engine


@pytest.fixture
async def encoder(client: AsyncSidecarClient) -> ModelInfo:
    return pick_encoder(await client.models())


@pytest.fixture
async def prepared(engine: Engine, index_name: str, encoder: ModelInfo) -> str:
    await set_up(engine, IndexSpec(index_name, encoder, settings={"number_of_shards": 1}))
    return index_name
