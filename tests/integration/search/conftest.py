"""A small corpus in a real OpenSearch, encoded by a real sidecar with tiny models."""

from __future__ import annotations

import asyncio
import io
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from sidecar.bundle.manifest import ScoreActivation
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, IndexSpec, Source, pick_encoder, set_up
from sidecar.engine import Engine
from sidecar.export import ExportOptions, export_checkpoint
from sidecar.server.process import SidecarProcess
from tests.support.feedback import Watched

SUBJECTS = ("cat", "dog", "horse", "bird", "fish", "mouse", "lion", "bear", "wolf", "zebra")
PLACES = ("river", "forest", "city", "market", "bridge", "mountain")
WEATHER = ("rain", "snow", "sun", "wind")


def documents() -> list[dict[str, object]]:
    """240 documents, one per combination, in two kinds; and one without any text."""
    found: list[dict[str, object]] = [
        {
            "_id": f"{subject}-{place}-{weather}",
            "title": f"the {subject}",
            "text": f"a {subject} near the {place} in the {weather}. the {place} is long and the {weather} is cold.",
            "kind": "even" if number % 2 == 0 else "odd",
            "number": number,
        }
        for number, (subject, place, weather) in enumerate(itertools.product(SUBJECTS, PLACES, WEATHER))
    ]
    return [*found, {"_id": "silent", "title": "", "text": "", "kind": "even", "number": 1_000}]


@dataclass(frozen=True)
class World:
    """An index, the cluster it is in, and a sidecar that serves the model that encoded it."""

    url: str
    target: str
    index: str


async def fill(url: str, target: str, index: str, model: str | None = None) -> None:
    """Set `index` up for the sidecar's sparse encoder and put the corpus in."""
    await put(url, target, index, documents(), model)


async def put(
    url: str,
    target: str,
    index: str,
    corpus: Sequence[dict[str, object]],
    model: str | None = None,
    shards: int = 1,
) -> None:
    """Set `index` up for the sidecar's sparse encoder and put documents of your own in."""
    lines = b"".join(orjson.dumps(document) + b"\n" for document in corpus)
    async with await Engine.connect(url) as engine, AsyncSidecarClient(target, timeout=60.0) as client:
        encoder = pick_encoder(await client.models(), model)
        await set_up(engine, IndexSpec(index, encoder, settings={"number_of_shards": shards}))
        # Facets need a keyword, which the sidecar's own mapping does not know of.
        await engine.put_mapping(index, {"properties": {"kind": {"type": "keyword"}, "number": {"type": "integer"}}})
        with DeadLetters(None) as letters:
            await IndexRun(engine, client, index, Source(io.BytesIO(lines), "_id", len(lines)), letters).run()


@pytest.fixture(scope="session")
def models(tiny_idf_bundle: Path, tiny_sparse_bundle: Path, tiny_cross_encoder_bundle: Path) -> list[Path]:
    """An inference-free encoder (the default), a neural one, a cross-encoder."""
    return [tiny_idf_bundle, tiny_sparse_bundle, tiny_cross_encoder_bundle]


@pytest.fixture(scope="session")
def search_sidecar(models: list[Path]) -> Iterator[SidecarProcess]:
    """A sidecar that nobody kills."""
    with SidecarProcess(models, settings={"threads": 1}) as process:
        yield process


@pytest.fixture(scope="session")
def world(opensearch, search_sidecar: SidecarProcess) -> Iterator[World]:
    index = f"search-{uuid.uuid4().hex[:8]}"
    asyncio.run(fill(opensearch.url, search_sidecar.target, index))
    yield World(opensearch.url, search_sidecar.target, index)
    asyncio.run(_delete(opensearch.url, index))


async def _delete(url: str, index: str) -> None:
    async with await Engine.connect(url) as engine:
        await engine.delete_index(index, missing_ok=True)


@pytest.fixture
async def engine(world: World) -> AsyncIterator[Engine]:
    async with await Engine.connect(world.url) as connected:
        yield connected


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(world.target) as connected:
        yield connected


@pytest.fixture
async def watched(world) -> AsyncIterator[Watched]:
    async with await Watched.connect(world.url) as connected:
        connected.firsts, connected.bodies, connected.wait = [], [], 0.0
        yield connected


@pytest.fixture(scope="module")
def calibrated(
    tiny_idf_bundle: Path, tiny_cross_encoder_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SidecarProcess]:
    """A sidecar whose cross-encoder gives probabilities."""
    folder = tmp_path_factory.mktemp("calibrated") / "reranker"
    export_checkpoint(tiny_cross_encoder_checkpoint, folder, ExportOptions(score_activation=ScoreActivation.SIGMOID))
    with SidecarProcess([tiny_idf_bundle, folder], settings={"threads": 1}) as process:
        yield process


@pytest.fixture
async def judge(calibrated: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(calibrated.target) as connected:
        yield connected
