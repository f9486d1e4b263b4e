"""Counting an index's document frequencies, on a real node and through a real sidecar."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, IndexSpec, Source, pick_encoder, set_up
from sidecar.cluster.frequencies import refresh_frequencies
from sidecar.domain import Side
from sidecar.engine import Engine
from sidecar.errors import InvalidInput
from sidecar.search import AsyncSearcher
from sidecar.search.profile import Profile
from sidecar.server.process import SidecarProcess
from tests.support.nodes import Node
from tests.support.shell import Shell

pytestmark = pytest.mark.integration

IDF, NEURAL = "tiny-idf", "tiny-sparse"
ONLY_THE_INDEX = Profile.parse({"name": "adapted", "retrievers": [{"kind": "sparse", "collection_idf": 1.0}]})


async def fill(engine: Engine, client: AsyncSidecarClient, index: str, texts: list[str], model: str = IDF) -> None:
    lines = b"".join(orjson.dumps({"_id": str(place), "text": text}) + b"\n" for place, text in enumerate(texts))
    encoder = pick_encoder(await client.models(), model)
    await set_up(engine, IndexSpec(index, encoder, settings={"number_of_shards": 1}))
    with DeadLetters(None) as letters:
        source = Source(io.BytesIO(lines), "_id", len(lines))
        await IndexRun(engine, client, index, source, letters, model=model).run()


async def test_frequencies_are_those_of_the_documents(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    texts = [f"lion {'bear' if place % 4 == 0 else 'wolf'} lion" for place in range(20)]
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, [*texts, ""])
        table = await refresh_frequencies(engine, client, index_name)
        assert (table.documents, table.sampled) == (21, 20)
        answer = await client.encode(["lion bear wolf"], side=Side.QUERY, model=IDF, return_terms=True)
        vector = answer.encodings[0].vector
        names = dict(zip(vector.term_ids, vector.terms, strict=True))
        assert {names[term_id]: count for term_id, count in table.counts().items()} == {
            "lion": 20,
            "bear": 5,
            "wolf": 15,
        }
        meta, kept = await engine.index_record(index_name)
        assert kept == table
        assert meta.fingerprint == table.fingerprint == answer.fingerprint


async def test_a_sample_is_drawn_where_the_index_has_more(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, ["lion near the river"] * 30)
        first = await refresh_frequencies(engine, client, index_name)
        second = await refresh_frequencies(engine, client, index_name, sample=10)
        assert (first.sampled, second.documents, second.sampled) == (30, 30, 10)
        assert set(second.counts().values()) == {10}
        assert (await engine.index_record(index_name))[1] == second


async def test_a_sample_keeps_within_a_narrow_result_window(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, ["lion near the river"] * 30)
        await engine.send("PUT", f"/{index_name}/_settings", {"index.max_result_window": 7})
        drawn = await refresh_frequencies(engine, client, index_name, sample=10)
        assert (drawn.documents, drawn.sampled) == (30, 7)
        everything = await refresh_frequencies(engine, client, index_name)
        assert everything.sampled == 30


async def test_setting_up_again_keeps_the_frequencies(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, ["lion", "lion bear"])
        table = await refresh_frequencies(engine, client, index_name)
        await set_up(engine, IndexSpec(index_name, pick_encoder(await client.models(), IDF)))
        assert (await engine.index_record(index_name))[1] == table


async def test_a_search_adapts_to_the_collection(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    """What every document is about weighs next to nothing once it is counted."""
    texts = ["lion lion lion", "bear with lion", *["lion by the river"] * 30]
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, texts)
        await refresh_frequencies(engine, client, index_name)
        searcher = AsyncSearcher(engine, client, ONLY_THE_INDEX, index=index_name)
        adapted = await searcher.search("lion bear", explain=True, size=32)
        shares = {one.term: one.value for hit in adapted.hits if hit.id == "1" for one in hit.why}
        assert shares["bear"] > 10 * shares["lion"]


async def test_as_commands(
    engine: Engine, index_name: str, opensearch: Node, sidecar_process: SidecarProcess, tmp_path: Path
) -> None:
    """Indexing ends by counting; the command counts again."""
    shell = Shell(tmp_path, opensearch.url, sidecar_process.target)
    of_the_index = ("--index", index_name, "--model", IDF)
    (tmp_path / "lions.jsonl").write_text('{"_id": "1", "text": "lion"}\n{"_id": "2", "text": "lion bear"}\n')
    await shell.run("setup", *of_the_index)
    await shell.run("index", "lions.jsonl", *of_the_index)
    counted = (await engine.index_record(index_name))[1]
    assert counted is not None
    assert list(counted.counts().values()) == [2]
    again = await shell.run("frequencies", "--sample", "1", "--json", *of_the_index)
    figures = orjson.loads(again.stdout)
    assert (figures["documents"], figures["sampled"]) == (2, 1)


async def test_what_can_not_be_counted(engine: Engine, index_name: str, sidecar_process: SidecarProcess) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, [""])
        with pytest.raises(InvalidInput, match="no text"):
            await refresh_frequencies(engine, client, index_name)
        with pytest.raises(InvalidInput, match="sample"):
            await refresh_frequencies(engine, client, index_name, sample=0)


async def test_an_encoder_whose_queries_need_inference(
    engine: Engine, index_name: str, sidecar_process: SidecarProcess
) -> None:
    async with AsyncSidecarClient(sidecar_process.target, timeout=60.0) as client:
        await fill(engine, client, index_name, ["lion"], NEURAL)
        with pytest.raises(InvalidInput, match="no IDF"):
            await refresh_frequencies(engine, client, index_name)
