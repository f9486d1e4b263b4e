"""Dead letters tried again, on a real node."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters, IndexRun, Source
from sidecar.cluster.reconcile import ReconcileOptions, ReconcileRun
from sidecar.cluster.retry import retry
from sidecar.engine import BulkPolicy, Engine
from sidecar.errors import DocumentsNotWritten, EngineUnavailable, InvalidInput
from tests.faults.audit import require_right
from tests.support.bare import document, fill
from tests.support.faults import Cut, faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

LONG = "lamp " * 1_000


@pytest.fixture
async def letters(engine: Engine, client: AsyncSidecarClient, bare_index: str, tmp_path: Path) -> Path:
    """What both commands left: a text too long that is in the index, one that is not, a wrong type, a bad line."""
    file = tmp_path / "dead.jsonl"
    await engine.put_mapping(bare_index, {"properties": {"price": {"type": "integer"}}})
    await fill(engine, bare_index, 3)
    await engine.send("POST", f"/{bare_index}/_update/d1?refresh=true", {"doc": {"text": LONG}})
    short = ReconcileOptions(max_text_bytes=1_000)
    with DeadLetters(file, bare_index) as dead, pytest.raises(DocumentsNotWritten):
        await ReconcileRun(engine, client, bare_index, dead, short).run()
    lines = [
        {"_id": "d7", "text": "A lamp", "price": "no number"},
        {"_id": "d8", "text": "A kettle", "price": "none either"},
    ]
    data = b"\n".join([*map(orjson.dumps, lines), b"{broken"])
    with DeadLetters(file, bare_index) as dead, pytest.raises(DocumentsNotWritten):
        await IndexRun(engine, client, bare_index, Source(io.BytesIO(data), "_id", None), dead).run()
    assert len(file.read_bytes().splitlines()) == 4
    return file


async def test_what_works_leaves_the_file_and_the_rest_stays(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, letters: Path
) -> None:
    mended = letters.read_bytes().replace(b'"none either"', b"5")
    letters.write_bytes(mended)
    summary = await retry(engine, client, letters)
    assert (summary.letters, summary.resolved, summary.failed, summary.kept) == (4, 2, 1, 1)
    left = [orjson.loads(line) for line in letters.read_bytes().splitlines()]
    assert [(one["id"], one["stage"], one["line"]) for one in left] == [("d7", "write", 1), (None, "read", 3)]
    wanted = {f"d{n}": dict(document(n)) for n in range(3)}
    wanted["d1"]["text"] = LONG
    wanted["d8"] = {"text": "A kettle", "price": 5}
    await require_right(engine, client, bare_index, [*wanted, "d7"], wanted)


async def test_letters_that_another_run_adds_meanwhile_stay(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, letters: Path
) -> None:
    """A `reconcile --follow` keeps the file open, and must not go on writing into one that is gone."""
    with DeadLetters(letters, bare_index) as follower:
        follower.add(None, "d1", "encode", "TEXT_TOO_LARGE", "too large", None)
        retrying = asyncio.create_task(retry(engine, client, letters))
        # It has read what there is, and waits for the cluster.
        await asyncio.sleep(0)
        follower.add(None, "meanwhile", "encode", "TEXT_TOO_LARGE", "too large", None)
        assert (await retrying).letters == 5
        follower.add(None, "afterwards", "encode", "TEXT_TOO_LARGE", "too large", None)
    left = [orjson.loads(line)["id"] for line in letters.read_bytes().splitlines()]
    assert left == ["d7", "d8", None, "meanwhile", "afterwards"]


async def test_a_file_without_letters_goes(engine: Engine, client: AsyncSidecarClient, letters: Path) -> None:
    mendable = [line for line in letters.read_bytes().splitlines() if b'"d1"' in line]
    letters.write_bytes(b"\n".join(mendable) + b"\n")
    assert (await retry(engine, client, letters)).resolved == 1
    assert not list(letters.parent.iterdir())


async def test_a_document_that_is_gone_by_now_is_no_letter_any_more(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, letters: Path
) -> None:
    letters.write_bytes(next(line for line in letters.read_bytes().splitlines() if b'"d1"' in line))
    await engine.send("DELETE", f"/{bare_index}/_doc/d1")
    assert (await retry(engine, client, letters)).resolved == 1
    assert await engine.get(bare_index, "d1") is None


async def test_the_file_stays_as_it_was_where_the_cluster_goes_away(
    opensearch: Node, client: AsyncSidecarClient, letters: Path
) -> None:
    before = letters.read_bytes()
    fruitless = BulkPolicy(attempts=1, timeout=5.0)
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url, bulk=fruitless) as unlucky:
        proxy.play([Cut.BEFORE] * 100)
        with pytest.raises(EngineUnavailable):
            await retry(unlucky, client, letters)
    assert letters.read_bytes() == before
    assert [path.name for path in letters.parent.iterdir()] == ["dead.jsonl"]


async def test_letters_without_an_index_need_one(
    engine: Engine, client: AsyncSidecarClient, bare_index: str, letters: Path
) -> None:
    told = [orjson.loads(line) for line in letters.read_bytes().splitlines()]
    letters.write_bytes(b"\n".join(orjson.dumps({**one, "index": None}) for one in told))
    with pytest.raises(InvalidInput, match="--index"):
        await retry(engine, client, letters)
    assert (await retry(engine, client, letters, index=bare_index)).resolved == 1
