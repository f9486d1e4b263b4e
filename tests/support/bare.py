"""Indices of documents that an application wrote without vectors."""

from __future__ import annotations

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine

SUBJECTS = ("lamp", "table", "search light", "garden chair", "reading glass", "kettle")


def document(number: int) -> JsonObject:
    """A document as it is before anything happens to it."""
    return {"text": f"A {SUBJECTS[number % len(SUBJECTS)]} of the kind {number}", "price": number % 90}


async def prepare(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    """Set `index` up in two shards, for vectors of `text`."""
    encoder = pick_encoder(await client.models())
    await set_up(engine, IndexSpec(index, encoder, source_fields=("text",), settings={"number_of_shards": 2}))


async def fill(engine: Engine, index: str, count: int) -> None:
    """Write documents d0, d1, … as an application does: whole, and without vectors."""
    actions = [BulkAction(index, f"d{number}", document(number)) for number in range(count)]
    assert all(item.written for item in await engine.bulk(actions))
    await engine.refresh(index)


@pytest.fixture
async def bare_index(engine: Engine, client: AsyncSidecarClient, index_name: str) -> str:
    """An index that is set up, and empty."""
    await prepare(engine, client, index_name)
    return index_name
