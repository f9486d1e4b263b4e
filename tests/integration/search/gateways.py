"""Sidecars that search for callers of their HTTP port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.server.process import SidecarProcess
from tests.integration.search.conftest import World

TOKEN = "sesame"

QUERY = "a wolf near the river in the snow"

FED = """
name: fed
retrievers:
  - {kind: sparse, feedback: {method: rocchio, documents: 4, terms: 12, weight: 0.3, timeout: 20}}
encode_timeout: 20
timeout: 60
"""

COUNTED = """
name: counted
count_hits: true
retrievers: [{kind: lexical}]
"""


@pytest.fixture(scope="session")
def gateway(world: World, models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    """A sidecar that searches the world's index, runs bodies, and asks for a token."""
    folder = tmp_path_factory.mktemp("profiles")
    (folder / "fed.yaml").write_text(FED)
    (folder / "counted.yaml").write_text(COUNTED)
    settings = {
        "threads": 1,
        "search_engine": world.url,
        "search_indices": f"{world.index},missing-*",
        "search_profiles": folder,
        "search_bodies": True,
    }
    with SidecarProcess(models, settings=settings, token=TOKEN) as process:
        yield process


@pytest.fixture
async def http(gateway: SidecarProcess) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=gateway.http_url, headers=headers, timeout=60.0, trust_env=False) as client:
        yield client


@pytest.fixture
async def behind(gateway: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    """The same sidecar over gRPC."""
    async with AsyncSidecarClient(gateway.target, token=TOKEN, timeout=60.0) as client:
        yield client
