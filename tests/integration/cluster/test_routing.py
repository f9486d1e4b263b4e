"""Documents of one id behind several routings: each is one of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexSpec, pick_encoder, set_up
from sidecar.cluster.documents import text_hash
from sidecar.cluster.migrate.sample import compare_sample
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun
from sidecar.cluster.retry import retry
from sidecar.domain import WHOLE_TEXT
from sidecar.engine import BulkAction, Engine, ScanSpec, StoredDocument
from sidecar.errors import DocumentsNotWritten

pytestmark = pytest.mark.integration

LONG = "word " * 300


async def prepare(engine: Engine, client: AsyncSidecarClient, index: str, texts: dict[str, str]) -> None:
    """Make an index in which each routing of `texts` has a document of the id 1."""
    encoder = pick_encoder(await client.models(), None)
    # A shard for each of these routings.
    settings = {"number_of_shards": 8, "number_of_replicas": 0}
    await set_up(engine, IndexSpec(index, encoder, source_fields=("text",), settings=settings))
    actions = [BulkAction(index, "1", {"text": text}, routing=routing) for routing, text in texts.items()]
    await engine.bulk(actions, refresh=True)
    assert await engine.count(index) == len(texts)


async def held(engine: Engine, index: str) -> dict[str | None, StoredDocument]:
    await engine.refresh(index)
    found: dict[str | None, StoredDocument] = {}
    async with engine.scan(ScanSpec(index, {"match_all": {}}, ("text", "splade", "splade_hash"))) as scan:
        async for page in scan.pages(0, lambda: 10):
            found |= {document.routing: document for document in page}
    return found


async def test_each_has_the_vector_of_its_own_text(
    engine: Engine, client: AsyncSidecarClient, index_name: str, tmp_path: Path
) -> None:
    texts = {"a": "a lamp with a long arm", "b": "boils a litre of water", "d": LONG, "e": f"{LONG} again"}
    await prepare(engine, client, index_name, texts)
    path = tmp_path / "letters.jsonl"
    bounded = ReconcileOptions(max_text_bytes=1_000)
    with DeadLetters(path) as letters, pytest.raises(DocumentsNotWritten, match="2 documents could"):
        await ReconcileRun(engine, client, index_name, letters, bounded).run()
    assert sorted(orjson.loads(line)["routing"] for line in path.read_bytes().splitlines()) == ["d", "e"]
    summary = await retry(engine, client, path, reconciling=ReconcileOptions())
    assert (summary.letters, summary.resolved, path.exists()) == (2, 2, False)
    documents = await held(engine, index_name)
    hashes = {routing: document.source["splade_hash"] for routing, document in documents.items()}
    assert hashes == {routing: text_hash(text.strip()) for routing, text in texts.items()}
    with DeadLetters(None) as letters:
        assert (await ReconcileRun(engine, client, index_name, letters).run()).found == 0


async def test_a_wrong_vector_is_found_behind_any_routing(
    engine: Engine, client: AsyncSidecarClient, index_name: str
) -> None:
    await prepare(engine, client, index_name, {"a": "a lamp with a long arm", "b": "boils a litre of water"})
    with DeadLetters(None) as letters:
        await ReconcileRun(engine, client, index_name, letters).run()
    meta = await engine.index_meta(index_name)
    documents = await held(engine, index_name)
    for routing, wrong in documents.items():
        other = next(one for one in documents.values() if one is not wrong)
        swapped = replace(wrong, source={**wrong.source, "splade": other.source["splade"]})
        write = BulkAction(index_name, "1", swapped.source, routing=routing)
        await engine.bulk([write], refresh=True)
        sample = await compare_sample(engine, client, index_name, meta, meta.bundle, 10, WHOLE_TEXT)
        assert (sample.compared, sample.differing) == (2, ("1",))
        await engine.bulk([BulkAction(index_name, "1", wrong.source, routing=routing)], refresh=True)
