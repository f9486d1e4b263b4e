"""Reading a whole index in pages, on a real node."""

from __future__ import annotations

import asyncio
from itertools import chain

import pytest

from sidecar.engine import BulkAction, BulkOperation, ClusterInfo, Distribution, Engine, ScanSpec, StoredDocument
from sidecar.engine.scan import has_point_in_time
from sidecar.errors import EngineRejected, EngineUnavailable, IndexNotFound, InvalidInput
from tests.support.faults import Status, faulty_proxy
from tests.support.nodes import Node

pytestmark = pytest.mark.integration

COUNT = 230


@pytest.fixture
async def filled(engine: Engine, index_name: str) -> str:
    await engine.create_index(index_name, {"settings": {"number_of_shards": 3, "number_of_replicas": 0}})
    actions = [BulkAction(index_name, f"d{n}", {"text": f"t{n}", "n": n, "more": "x"}) for n in range(COUNT)]
    assert all(item.written for item in await engine.bulk(actions, refresh=True))
    return index_name


async def read(engine: Engine, spec: ScanSpec, size: int = 40) -> list[StoredDocument]:
    async def part(number: int) -> list[StoredDocument]:
        return [document async for page in scan.pages(number, lambda: size) for document in page]

    async with engine.scan(spec) as scan:
        assert scan.by_point_in_time == has_point_in_time(engine.info)
        return list(chain.from_iterable(await asyncio.gather(*map(part, range(spec.slices)))))


@pytest.mark.parametrize("slices", [1, 2, 7])
async def test_every_document_once(engine: Engine, filled: str, slices: int) -> None:
    found = await read(engine, ScanSpec(filled, {"match_all": {}}, ["text"], slices))
    assert sorted(one.id for one in found) == sorted(f"d{n}" for n in range(COUNT))
    assert all(one.source == {"text": f"t{one.id[1:]}"} for one in found)
    assert {(one.index, one.primary_term) for one in found} == {(filled, 1)}


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("scrolling", [False, True])
async def test_pages_keep_within_the_result_window(
    engine: Engine, filled: str, slices: int, scrolling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine._transport.send("PUT", f"/{filled}/_settings", {"index": {"max_result_window": 50}})
    if scrolling:
        monkeypatch.setattr("sidecar.engine.scan.has_point_in_time", lambda cluster: False)
    async with engine.scan(ScanSpec(filled, {"match_all": {}}, [], slices)) as scan:
        assert scan.by_point_in_time is not scrolling
        pages = [page for part in range(slices) async for page in scan.pages(part, lambda: 200)]
    assert max(map(len, pages)) == 50
    assert sorted(one.id for page in pages for one in page) == sorted(f"d{n}" for n in range(COUNT))


async def test_another_refusal_is_no_question_of_size(engine: Engine, filled: str) -> None:
    with pytest.raises(EngineRejected, match="unknown query"):
        await read(engine, ScanSpec(filled, {"nonsense": {}}, []))


async def test_only_what_matches_as_it_was_at_the_beginning(engine: Engine, filled: str) -> None:
    spec = ScanSpec(filled, {"range": {"n": {"lt": 100}}}, [])
    async with engine.scan(spec) as scan:
        seen: list[str] = []
        async for page in scan.pages(0, lambda: 30):
            if not seen:
                await engine.bulk([BulkAction(filled, f"d{n}", {"n": 500}) for n in range(100)], refresh=True)
            seen += [one.id for one in page]
    assert len(seen) == len(set(seen)) == 100
    assert await read(engine, spec) == []


async def test_a_scan_that_is_lost_says_so(opensearch: Node, filled: str) -> None:
    async with (
        faulty_proxy(opensearch.url, only="/_search") as proxy,
        await Engine.connect(proxy.url) as engine,
        engine.scan(ScanSpec(filled, {"match_all": {}}, [])) as scan,
    ):
        pages = scan.pages(0, lambda: 30)
        await anext(pages)
        proxy.play([Status(404)])
        with pytest.raises(EngineUnavailable, match="begin again"):
            await anext(pages)
        await pages.aclose()


async def test_an_index_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(IndexNotFound):
        await read(engine, ScanSpec("test-no-such-index", {"match_all": {}}, []))


async def test_documents_are_read_as_they_are_now(engine: Engine, filled: str) -> None:
    await engine.bulk([BulkAction(filled, "d1", {"text": "new"}), BulkAction(filled, "d2", None, BulkOperation.DELETE)])
    asked = [StoredDocument(filled, name, 0, 1) for name in ("d1", "d2", "d3", "never")]
    new, deleted, old, never = await engine.stored(asked, ["text"])
    assert new is not None
    assert new.source == {"text": "new"}
    assert old is not None
    assert (old.source, new.seq_no > old.seq_no) == ({"text": "t3"}, True)
    assert deleted is never is None
    assert await engine.stored([], ["text"]) == ()


async def test_documents_of_an_index_that_is_gone_are_not_waited_for(engine: Engine, filled: str) -> None:
    asked = [StoredDocument(index, "d1", 0, 1) for index in (filled, "test-no-such-index")]
    with pytest.raises(IndexNotFound, match="test-no-such-index"):
        await engine.stored(asked, [])
    await engine.send("POST", f"/{filled}/_close")
    with pytest.raises(EngineRejected, match="closed"):
        await engine.stored(asked[:1], [])


async def test_a_script_writes_onto_one_version_only(engine: Engine, filled: str) -> None:
    script = {"script": {"source": "ctx._source.n = params.n", "params": {"n": 1_000}}}

    def update(name: str, seq_no: int) -> BulkAction:
        return BulkAction(filled, name, script, BulkOperation.UPDATE, if_seq_no=seq_no, if_primary_term=1)

    (now,) = await engine.stored([StoredDocument(filled, "d5", 0, 1)], [])
    assert now is not None
    done = await engine.bulk([update("d5", now.seq_no), update("d6", 9_999), update("never", 1)])
    assert [(item.written, item.conflict, item.missing) for item in done] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert await engine.get(filled, "d5") == {"text": "t5", "n": 1_000, "more": "x"}
    assert await engine.get(filled, "never") is None


def test_a_partial_document_is_no_update() -> None:
    with pytest.raises(InvalidInput, match="script"):
        BulkAction("articles", "d1", {"doc": {"splade": {}}}, BulkOperation.UPDATE)


async def test_how_busy_the_cluster_is(engine: Engine) -> None:
    load = await engine.load()
    assert 0 < load.heap_percent <= 100
    assert load.write_queue >= 0


@pytest.mark.parametrize(
    ("distribution", "release", "has"),
    [
        (Distribution.OPENSEARCH, (2, 19), False),
        (Distribution.OPENSEARCH, (3, 2), False),
        (Distribution.OPENSEARCH, (3, 3), True),
        (Distribution.ELASTICSEARCH, (7, 12), False),
        (Distribution.ELASTICSEARCH, (8, 15), True),
    ],
)
def test_points_in_time_where_they_can_be_paged(
    distribution: Distribution, release: tuple[int, int], has: bool
) -> None:
    assert has_point_in_time(ClusterInfo(distribution, "x", "c", release)) is has
