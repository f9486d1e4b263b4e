"""What the whole pipeline is worth, with the starter bundles, on real test collections.

The collections are old research collections that can't be shipped: SIDECAR_COLLECTIONS=DIR says where they are.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.domain import Query
from sidecar.engine import Engine
from sidecar.evaluation import Collection, Effectiveness, Ranked, measure, read_collection
from sidecar.evaluation.temporary_index import indexed_collection
from sidecar.search import BUILT_IN, AsyncSearcher, Profile
from sidecar.server.process import SidecarProcess

pytestmark = [pytest.mark.quality, pytest.mark.timeout(1_800)]

LEXICAL = {"cranfield": 0.359, "med": 0.690, "cystic_fibrosis": 0.458, "time": 0.756}
"""nDCG@10 of OpenSearch 3.8 with its defaults, measured without any code of this project."""

TOLERANCE = 0.005

RERANKED_QUERIES = 24
"""Per collection; a cross-encoder on two cores takes a second or so for each."""

PATIENCE = {"encode_timeout": 600.0, "timeout": 600.0}


@dataclass(frozen=True)
class Measured:
    """Lexical on every judged query; all profiles on the same sample of them."""

    lexical: Effectiveness
    sampled: dict[str, Effectiveness]


def _folder(name: str) -> Path:
    root = os.environ.get("SIDECAR_COLLECTIONS")
    if root is None or not (Path(root) / name).is_dir():
        pytest.skip(f"the collection {name} is not here: set SIDECAR_COLLECTIONS to a folder that has it")
    return Path(root) / name


@pytest.fixture(scope="module")
def starters() -> Iterator[SidecarProcess]:
    with SidecarProcess() as process:
        yield process


@pytest.fixture(scope="module")
def measured(opensearch, starters: SidecarProcess) -> dict[str, Measured]:
    collections = [read_collection(_folder(name)) for name in LEXICAL]
    return {one.name: asyncio.run(_measured(opensearch.url, starters.target, one)) for one in collections}


async def _measured(url: str, target: str, collection: Collection) -> Measured:
    step = max(1, len(collection.queries) // RERANKED_QUERIES)
    sample = collection.queries[::step]
    async with (
        await Engine.connect(url) as engine,
        AsyncSidecarClient(target, timeout=600.0) as client,
        indexed_collection(engine, client, collection) as indexed,
    ):

        async def effectiveness(name: str, queries: tuple[Query, ...]) -> Effectiveness:
            searcher = AsyncSearcher(engine, client, _patient(BUILT_IN[name]), index=indexed.name)
            run = {}
            for query in queries:
                result = await searcher.search(query.text, size=10)
                assert result.degraded is None
                run[query.id] = [Ranked(hit.id, 1.0 / hit.rank) for hit in result.hits]
            return measure(run, {query.id: collection.judgements[query.id] for query in queries})

        return Measured(
            lexical=await effectiveness("lexical", collection.queries),
            sampled={name: await effectiveness(name, sample) for name in ("lexical", "sparse", "hybrid+rerank")},
        )


def _patient(profile: Profile) -> Profile:
    rerank = None if profile.rerank is None else profile.rerank.model_copy(update={"timeout": 600.0})
    return profile.model_copy(update={**PATIENCE, "rerank": rerank})


@pytest.mark.parametrize("name", LEXICAL)
def test_the_baseline_is_as_strong_as_opensearch_is(measured, name: str) -> None:
    """A weak baseline would make everything else look good."""
    assert measured[name].lexical.means["nDCG@10"] == pytest.approx(LEXICAL[name], abs=TOLERANCE)


def _mean(measured: dict[str, Measured], profile: str) -> float:
    return statistics.fmean(one.sampled[profile].means["nDCG@10"] for one in measured.values())


def test_the_whole_pipeline_is_better_than_bm25_on_average(measured) -> None:
    assert _mean(measured, "hybrid+rerank") > _mean(measured, "lexical")


def test_the_sparse_encoder_was_trained(measured) -> None:
    """Far above random weights; on all queries it is above BM25, on a sample it may be a little below."""
    assert _mean(measured, "sparse") > 0.9 * _mean(measured, "lexical")
