"""Two small encoders whose vectors differ, an index of one of them, and what a right answer to a search is."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, IndexSpec, Source, pick_encoder, set_up
from sidecar.cluster.migrate import Candidate, filling, mark_verified, start, verify
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileSummary
from sidecar.domain import JsonObject, Side, SparseVector
from sidecar.engine import BulkAction, Engine
from sidecar.search import SearchResult
from sidecar.search.profile import Profile
from sidecar.server.process import SidecarProcess

OLD, NEW = "tiny-idf", "tiny-own-terms"
SPARSE = Profile.parse({"name": "plain", "retrievers": [{"kind": "sparse"}]})
BEASTS = ("lion", "bear", "wolf", "fox", "cat", "dog", "horse")
TOLERANCE = 0.01
"""Of a score: stored weights keep nine significant bits."""


def text_of(number: int, turn: int = 0) -> str:
    beasts = [BEASTS[(number * step + turn) % len(BEASTS)] for step in (1, 3, 5)]
    return f"the {beasts[0]} and the {beasts[1]} near the river {beasts[2]} {number % 10}"


def documents(count: int) -> dict[str, JsonObject]:
    return {f"d{number}": {"text": text_of(number), "number": number} for number in range(count)}


async def put(engine: Engine, index: str, held: dict[str, JsonObject]) -> None:
    """Write documents as an application does: whole, and without vectors."""
    actions = [BulkAction(index, name, source) for name, source in held.items()]
    assert all(item.written for item in await engine.bulk(actions, refresh=True))


async def prepare_old(engine: Engine, client: AsyncSidecarClient, index: str, held: dict[str, JsonObject]) -> None:
    """Make an index of the old model, with the documents in it."""
    encoder = pick_encoder(await client.models(), OLD)
    spec = IndexSpec(index, encoder, source_fields=("text",), settings={"number_of_shards": 2})
    await set_up(engine, spec)
    lines = b"".join(orjson.dumps({"_id": name, **source}) + b"\n" for name, source in held.items())
    with DeadLetters(None) as letters:
        await IndexRun(engine, client, index, Source(io.BytesIO(lines), "_id", None), letters, model=OLD).run()


async def begin(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    await start(engine, index, Candidate(pick_encoder(await client.models(), NEW)))


async def fill_new(
    engine: Engine, client: AsyncSidecarClient, index: str, options: ReconcileOptions | None = None
) -> ReconcileSummary:
    with DeadLetters(None) as letters:
        return await (await filling(engine, client, index, letters, options)).run()


async def rolled_out(engine: Engine, client: AsyncSidecarClient, index: str) -> None:
    """From nothing to a candidate that may be swapped in."""
    await begin(engine, client, index)
    await fill_new(engine, client, index)
    found = await verify(engine, client, index)
    assert found.passed, found.problems
    await mark_verified(engine, found)


@dataclass
class Judge:
    """Knows the exact scores of every document for a query, under each of both models.

    Hits that it does not know, of documents that are written meanwhile, it does not judge: it asks that the others be
    right and in their order.
    """

    scores: dict[tuple[str, str], dict[str, float]]
    known: frozenset[str]

    @classmethod
    async def of(cls, client: AsyncSidecarClient, texts: dict[str, str], queries: list[str]) -> Judge:
        scores: dict[tuple[str, str], dict[str, float]] = {}
        for model in (OLD, NEW):
            pruning = pick_encoder(await client.models(), model).document_pruning
            held = await client.encode(
                list(texts.values()), side=Side.DOCUMENT, model=model, pruning=pruning, timeout=300.0
            )
            asked = await client.encode(queries, side=Side.QUERY, model=model)
            vectors: dict[str, SparseVector] = dict(zip(texts, (one.vector for one in held.encodings), strict=True))
            for query, encoding in zip(queries, asked.encodings, strict=True):
                products = {name: encoding.vector.dot(vector) for name, vector in vectors.items()}
                scores[(model, query)] = {name: score for name, score in products.items() if score > 0.0}
        return cls(scores, frozenset(texts))

    def model_of(self, query: str, result: SearchResult) -> str:
        """The one model that gave this answer; fails for an answer of none, or of both mixed."""
        assert result.degraded is None, result.degraded
        fits = [model for model in (OLD, NEW) if self._fits(self.scores[(model, query)], result)]
        told = " ".join(f"{hit.id}@{hit.index}={hit.first_stage_score:.4g}" for hit in result.hits)
        assert len(fits) == 1, f"{query}: fits {fits}, partial={result.partial}: {told}"
        return fits[0]

    def _fits(self, exact: dict[str, float], result: SearchResult) -> bool:
        hits = [hit for hit in result.hits if hit.id in self.known]
        best = sorted(exact.values(), reverse=True)[: len(hits)]
        told = [hit.first_stage_score or 0.0 for hit in hits]
        if len(best) != len(told) or not told:
            return False
        return all(
            score == pytest.approx(exact.get(hit.id, 0.0), rel=TOLERANCE) for hit, score in zip(hits, told, strict=True)
        ) and told == pytest.approx(best, rel=TOLERANCE)


@pytest.fixture(scope="session")
def two_models(tiny_idf_bundle: Path, tiny_own_terms_bundle: Path) -> Iterator[SidecarProcess]:
    """A sidecar that serves the old model, by default, and the new one."""
    with SidecarProcess((tiny_idf_bundle, tiny_own_terms_bundle), settings={"threads": 1}) as process:
        yield process


@pytest.fixture
async def both(two_models: SidecarProcess) -> AsyncIterator[AsyncSidecarClient]:
    async with AsyncSidecarClient(two_models.target, timeout=120.0) as connected:
        yield connected
