"""A corpus through a real Ray of two encoders, into Parquet and into a real node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from pyarrow import parquet

from sidecar.bundle import Bundle
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.domain import ModelInfo
from sidecar.engine import Engine, PassageRule, dialect_named
from sidecar.errors import DocumentsNotWritten, EngineUnavailable, FingerprintMismatch, InvalidInput
from sidecar.scale import FromFiles, FromIndex, ScalePlan, ScaleSummary, ToIndex, ToParquet, encode_corpus
from sidecar.scale.plan import Cluster
from sidecar.server.process import SidecarProcess
from tests.support.nodes import Node

pytestmark = [
    pytest.mark.integration,
    # Ray's own: sockets and files of the processes it starts, and what it says of itself.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:ray", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[None]:
    """One Ray for all tests of the module, so that each pays only for its own actors."""
    import os

    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def corpus(file: Path, count: int) -> Path:
    lines = [{"_id": f"d{n}", "title": f"Document {n}", "text": f"what the search says of {n}"} for n in range(count)]
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return file


def plan(source: FromFiles | FromIndex, sink: ToParquet | ToIndex, bundle: Path) -> ScalePlan:
    return ScalePlan(source, sink, bundle, workers=2, batch_documents=16)


@pytest.fixture
async def encoder(sidecar_process: SidecarProcess) -> ModelInfo:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        return pick_encoder(await client.models())


def test_files_become_parquet(ray_of_two: None, tiny_sparse_bundle: Path, tmp_path: Path) -> None:
    file = corpus(tmp_path / "corpus.jsonl", 120)
    with file.open("ab") as more:
        more.write(b'{broken\n{"_id": "blank", "title": ""}\n')
    out, dead = tmp_path / "out", tmp_path / "dead.jsonl"
    seen: list[ScaleSummary] = []
    wanted = plan(FromFiles((file,), part_bytes=2_000), ToParquet(out), tiny_sparse_bundle)
    with DeadLetters(dead) as letters, pytest.raises(DocumentsNotWritten, match="1 of 122"):
        encode_corpus(wanted, letters, seen.append)
    last = seen[-1]
    assert (last.read, last.written, last.without_vector, last.failed) == (122, 121, 1, 1)
    assert last.encoding_seconds > 0
    assert last.documents_per_actor_second > 0
    (letter,) = [orjson.loads(line) for line in dead.read_bytes().splitlines()]
    assert letter["reason"] == "MALFORMED_LINE"
    table = parquet.read_table(out)
    assert sorted(table["id"].to_pylist()) == sorted([f"d{n}" for n in range(120)] + ["blank"])
    assert sum(len(terms) for terms in table["terms"].to_pylist() if terms is not None) == last.terms
    with DeadLetters(None) as letters, pytest.raises(InvalidInput, match="not empty"):
        encode_corpus(wanted, letters)


async def test_files_become_an_index_that_is_searched_as_any_other(
    ray_of_two: None,
    opensearch: Node,
    engine: Engine,
    index_name: str,
    encoder: ModelInfo,
    tiny_sparse_bundle: Path,
    tmp_path: Path,
) -> None:
    await set_up(engine, IndexSpec(index_name, encoder, settings={"number_of_shards": 1}))
    await engine.put_mapping(index_name, {"properties": {"n": {"type": "integer"}}})
    file = corpus(tmp_path / "corpus.jsonl", 60)
    with file.open("ab") as more:
        more.write(b'{"_id": "conflict", "text": "the query", "n": "no number"}\n')
    target = ToIndex(Cluster(opensearch.url), index_name)
    with DeadLetters(tmp_path / "dead.jsonl") as letters, pytest.raises(DocumentsNotWritten, match="1 of 61"):
        await asyncio.to_thread(encode_corpus, plan(FromFiles((file,)), target, tiny_sparse_bundle), letters)
    await engine.refresh(index_name)
    present = dialect_named("rank_features").presence_filter("splade", encoder.fingerprint)
    assert await engine.count(index_name, present) == 60
    (letter,) = [orjson.loads(line) for line in (tmp_path / "dead.jsonl").read_bytes().splitlines()]
    assert (letter["id"], letter["stage"], letter["reason"]) == ("conflict", "write", "mapper_parsing_exception")


async def test_an_index_becomes_parquet(
    ray_of_two: None, opensearch: Node, engine: Engine, index_name: str, tiny_sparse_bundle: Path, tmp_path: Path
) -> None:
    await engine.create_index(index_name, {"settings": {"number_of_shards": 2}})
    for number in range(30):
        await engine.send("PUT", f"/{index_name}/_doc/d{number}", {"text": f"the search {number}"})
    await engine.refresh(index_name)
    source = FromIndex(Cluster(opensearch.url), index_name, slices=3)
    with DeadLetters(None) as letters:
        summary = await asyncio.to_thread(
            encode_corpus, plan(source, ToParquet(tmp_path / "out"), tiny_sparse_bundle), letters
        )
    assert (summary.read, summary.written, summary.failed) == (30, 30, 0)
    assert sorted(parquet.read_table(tmp_path / "out")["id"].to_pylist()) == sorted(f"d{n}" for n in range(30))


async def test_an_index_of_another_model_is_refused_before_anything_is_read(
    opensearch: Node, engine: Engine, index_name: str, encoder: ModelInfo, tiny_idf_bundle: Path, tmp_path: Path
) -> None:
    await set_up(engine, IndexSpec(index_name, encoder))
    assert Bundle.open(tiny_idf_bundle).fingerprint != encoder.fingerprint
    target = ToIndex(Cluster(opensearch.url), index_name)
    wanted = plan(FromFiles((corpus(tmp_path / "corpus.jsonl", 3),)), target, tiny_idf_bundle)
    with DeadLetters(None) as letters, pytest.raises(FingerprintMismatch):
        await asyncio.to_thread(encode_corpus, wanted, letters)


async def test_an_index_with_passages_is_refused_before_anything_is_read(
    opensearch: Node, engine: Engine, index_name: str, encoder: ModelInfo, tiny_sparse_bundle: Path, tmp_path: Path
) -> None:
    await set_up(engine, IndexSpec(index_name, encoder, passages=PassageRule()))
    wanted = plan(
        FromFiles((tmp_path / "never read",)), ToIndex(Cluster(opensearch.url), index_name), tiny_sparse_bundle
    )
    with DeadLetters(None) as letters, pytest.raises(InvalidInput, match="sidecar index"):
        await asyncio.to_thread(encode_corpus, wanted, letters)


def test_what_fails_on_a_worker_is_our_own_error(ray_of_two: None, tiny_sparse_bundle: Path, tmp_path: Path) -> None:
    nowhere = FromIndex(Cluster("http://127.0.0.1:9"), "articles", slices=1)
    with DeadLetters(None) as letters, pytest.raises(EngineUnavailable):
        encode_corpus(plan(nowhere, ToParquet(tmp_path / "out"), tiny_sparse_bundle), letters)
