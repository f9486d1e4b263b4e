"""A real sidecar with the starter encoder, and indices of documents that an application wrote without vectors."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import IndexSpec, pick_encoder, set_up
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, Engine
from sidecar.server.process import SidecarProcess

STARTER = "splade-sidecar-starter-sparse-v1"

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


@dataclass(frozen=True)
class Starter:
    """A running sidecar: the address for gRPC clients."""

    target: str


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    """A sidecar that serves the starter encoder, for tests that leave it as they found it.

    SIDECAR_TEST_TARGET takes one that is already running, which saves the start while one works on the tests.
    """
    running = os.environ.get("SIDECAR_TEST_TARGET")
    if running:
        yield Starter(running)
        return
    with SidecarProcess([STARTER], settings={"threads": 2}, startup_timeout=280.0) as process:
        yield Starter(process.target)


@pytest.fixture
async def starter_client(starter: Starter) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(starter.target, timeout=120.0) as connected:
        yield connected


@pytest.fixture
async def bare_index(engine: Engine, starter_client: AsyncSidecarClient, index_name: str) -> str:
    """An index that is set up, and empty."""
    await prepare(engine, starter_client, index_name)
    return index_name
