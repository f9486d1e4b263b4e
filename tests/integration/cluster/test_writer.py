"""An application's writer, through a real sidecar into a real node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import AsyncSparseWriter, IndexSpec, SparseWriter, WriterOptions, set_up
from sidecar.cluster.documents import text_hash
from sidecar.cluster.writer import Stage
from sidecar.domain import Document, ModelInfo, WindowPolicy, Windows
from sidecar.engine import BulkOperation, BulkPolicy, Engine, dialect_named
from sidecar.errors import FingerprintMismatch, IndexNotFound, InvalidInput, UnknownModel
from sidecar.search import AsyncSearcher
from sidecar.server.process import SidecarProcess
from tests.support.faults import Status, faulty_proxy
from tests.support.indexing import article, articles
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


@pytest.fixture
def writer(engine: Engine, client: AsyncSidecarClient, prepared: str) -> AsyncSparseWriter:
    return AsyncSparseWriter(engine, client, prepared)


async def test_what_json_can_not_hold_is_refused_and_not_written_as_null(
    engine: Engine, prepared: str, writer: AsyncSparseWriter
) -> None:
    nan, infinite = float("nan"), float("inf")
    documents = [article("a", n=nan), article("b", o={"n": [1.5, -infinite]}), article("c", n=1.5), article("d", s={1})]
    # JSON holds it, and the cluster says itself that no field does which it would make for it.
    documents.append(article("e", o={"n": 10**30}))
    outcomes = await writer.write(documents)
    assert [one.written for one in outcomes] == [False, False, True, False, False]
    assert [outcomes[place].reason for place in (0, 1, 3)] == ["INVALID_INPUT"] * 3
    assert "The field o holds NaN" in outcomes[1].message
    assert (outcomes[4].stage, outcomes[4].reason) == (Stage.WRITE, "mapper_parsing_exception")
    assert [await engine.get(prepared, name) is None for name in "abcde"] == [True, True, False, True, True]


async def test_an_id_that_none_has_is_not_deleted_and_costs_only_itself(
    engine: Engine, prepared: str, writer: AsyncSparseWriter
) -> None:
    await writer.write([article("a")])
    outcomes = await writer.delete(["a", "", "gone", "x" * 513])
    assert [one.written for one in outcomes] == [True, False, True, False]
    assert [(one.stage, one.reason) for one in outcomes if not one.written] == [(Stage.WRITE, "INVALID_INPUT")] * 2
    assert await engine.get(prepared, "a") is None


async def test_a_written_document_has_the_vector_of_its_text(
    engine: Engine, client: AsyncSidecarClient, prepared: str, encoder: ModelInfo, writer: AsyncSparseWriter
) -> None:
    outcomes = await writer.write([article("a"), article("b", kind="report")], refresh=True)
    assert [(one.id, one.written, one.has_vector, one.truncated) for one in outcomes] == [
        ("a", True, True, False),
        ("b", True, True, False),
    ]
    stored = await engine.get(prepared, "b")
    assert stored is not None
    text = "Document b what the search says about the query"
    assert (stored["kind"], stored["splade_hash"]) == ("report", text_hash(text))
    answer = await client.encode([text], model=encoder.name, return_terms=True)
    expected = dialect_named("rank_features").document_features(answer.encodings[0].vector, encoder.fingerprint)
    assert stored["splade"] == pytest.approx(expected, rel=1e-3)


async def test_what_is_written_is_found(
    engine: Engine, client: AsyncSidecarClient, prepared: str, writer: AsyncSparseWriter
) -> None:
    await writer.write(articles(5), refresh=True)
    found = await AsyncSearcher(engine, client, "sparse", index=prepared).search("the search query", size=5)
    assert len(found.hits) == 5
    assert found.degraded is None


async def test_each_document_has_its_own_fate_in_its_own_place(engine: Engine, writer: AsyncSparseWriter) -> None:
    await engine.put_mapping(writer.index, {"properties": {"n": {"type": "integer"}}})
    outcomes = await writer.write(
        [
            article("good", n=1),
            article("large", "search " * 400_000),
            article("conflict", n="no number"),
            article("x" * 600),
            Document("blank", {"title": " "}),
            article("surrogate", "\ud800"),
            article("bytes", cover=b"\x00"),
            article("last"),
        ],
        refresh=True,
    )
    assert [(one.id[:9], one.stage, one.reason) for one in outcomes] == [
        ("good", None, ""),
        ("large", Stage.ENCODE, "TEXT_TOO_LARGE"),
        ("conflict", Stage.WRITE, "mapper_parsing_exception"),
        ("xxxxxxxxx", Stage.ENCODE, "INVALID_INPUT"),
        ("blank", None, ""),
        ("surrogate", Stage.ENCODE, "MALFORMED_TEXT"),
        ("bytes", Stage.ENCODE, "INVALID_INPUT"),
        ("last", None, ""),
    ]
    assert [one.has_vector for one in outcomes if one.written] == [True, False, True]
    assert not any(one.retriable for one in outcomes)
    assert all(one.message for one in outcomes if not one.written)
    assert await engine.count(writer.index) == 3


async def test_creating_never_replaces(engine: Engine, writer: AsyncSparseWriter) -> None:
    await writer.write([article("a", kind="first")])
    outcomes = await writer.write([article("a", kind="second"), article("b")], mode=BulkOperation.CREATE)
    assert [one.reason for one in outcomes] == ["version_conflict_engine_exception", ""]
    stored = await engine.get(writer.index, "a")
    assert stored is not None
    assert stored["kind"] == "first"


async def test_two_versions_of_a_document_in_one_call_keep_their_order(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    small = AsyncSparseWriter(engine, client, prepared, WriterOptions(batch_documents=1, in_flight=4))
    outcomes = await small.write([article("a", kind=str(number)) for number in range(12)])
    assert all(one.written for one in outcomes)
    stored = await engine.get(prepared, "a")
    assert stored is not None
    assert stored["kind"] == "11"


async def test_deleting_answers_for_every_id(engine: Engine, writer: AsyncSparseWriter) -> None:
    await writer.write(articles(3))
    outcomes = await writer.delete(["d0", "never there", "d2"], refresh=True)
    assert [(one.id, one.written) for one in outcomes] == [("d0", True), ("never there", True), ("d2", True)]
    assert await engine.count(writer.index) == 1


async def test_one_id_is_not_several_of_one_letter(
    engine: Engine, client: AsyncSidecarClient, prepared: str, writer: AsyncSparseWriter
) -> None:
    await writer.write([article("a"), article("b"), article("ab")], refresh=True)
    with pytest.raises(InvalidInput) as raised:
        await writer.delete("ab")
    assert raised.value.field == "ids"
    assert await engine.count(prepared) == 3


async def test_an_id_that_is_no_string_costs_only_itself(engine: Engine, writer: AsyncSparseWriter) -> None:
    number: Any = 7
    outcomes = await writer.write([article("a"), article(number), article("b")])
    assert [(one.written, one.reason) for one in outcomes] == [(True, ""), (False, "INVALID_INPUT"), (True, "")]
    assert [one.written for one in await writer.delete(["a", number, "b"])] == [True, False, True]


async def test_nothing_is_deleted_from_an_index_that_is_not_there(engine: Engine, client: AsyncSidecarClient) -> None:
    outcomes = await AsyncSparseWriter(engine, client, "no-such-index").delete(["a", "b"])
    assert [(one.written, one.reason) for one in outcomes] == [(False, "index_not_found_exception")] * 2
    assert not await engine.index_exists("no-such-index")


async def test_nothing_to_write(writer: AsyncSparseWriter) -> None:
    assert await writer.write([]) == ()
    assert await writer.delete([]) == ()


async def test_long_texts_are_read_whole_unless_their_head_is_wanted(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    long = article("long", "search query document " * 200)
    (whole,) = await AsyncSparseWriter(engine, client, prepared).write([long])
    cutting = WriterOptions(windows=Windows(WindowPolicy.TRUNCATE))
    (head,) = await AsyncSparseWriter(engine, client, prepared, cutting).write([long])
    assert (whole.truncated, head.truncated) == (False, True)


async def test_an_index_of_another_model_is_refused_before_anything_is_written(
    engine: Engine, client: AsyncSidecarClient, index_name: str, encoder: ModelInfo
) -> None:
    await set_up(engine, IndexSpec(index_name, replace(encoder, name="predecessor", fingerprint="ff" * 32)))
    with pytest.raises(FingerprintMismatch, match="predecessor"):
        await AsyncSparseWriter(engine, client, index_name).write(articles(3))
    assert await engine.count(index_name) == 0


async def test_an_index_that_was_never_made_and_a_model_that_nobody_serves(
    engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    with pytest.raises(IndexNotFound):
        await AsyncSparseWriter(engine, client, "test-no-such-index").write(articles(1))
    assert not await engine.index_exists("test-no-such-index")
    with pytest.raises(UnknownModel):
        await AsyncSparseWriter(engine, client, prepared, model="nobody").write(articles(1))


async def test_calls_beyond_what_may_be_under_way_wait(
    opensearch: Node, client: AsyncSidecarClient, prepared: str
) -> None:
    under_way, most = 0, 0
    several = asyncio.Event()

    async def enter(_: bytes) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way > 1:
            several.set()
        # The first one waits for a second, which would never come if writes were taken one after the other.
        await asyncio.wait_for(several.wait(), 30.0)
        await asyncio.sleep(0.05)

    async def leave(_: bytes) -> None:
        nonlocal under_way
        under_way -= 1

    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as slow:
        proxy.before, proxy.after = enter, leave
        writer = AsyncSparseWriter(slow, client, prepared, WriterOptions(batch_documents=2, in_flight=3))
        calls = [writer.write([article(f"{call}-{number}") for number in range(4)]) for call in range(8)]
        answers = await asyncio.gather(*calls)
    assert sum(one.written for answer in answers for one in answer) == 32
    assert 1 < most <= 3


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        WriterOptions(in_flight=0)


async def test_the_twin_for_threads(
    opensearch: Node, engine: Engine, sidecar_process: SidecarProcess, prepared: str
) -> None:
    def work() -> tuple[int, int]:
        with SparseWriter(opensearch.url, sidecar_process.target, prepared) as blocking:
            written = blocking.write(articles(3), refresh=True)
            deleted = blocking.delete(["d1"], refresh=True)
            return sum(one.written for one in written), sum(one.written for one in deleted)

    assert await asyncio.to_thread(work) == (3, 1)
    assert await engine.count(prepared) == 2


async def test_several_batches_are_refreshed_once(
    opensearch: Node, engine: Engine, client: AsyncSidecarClient, prepared: str
) -> None:
    """The index refreshes itself once in a minute: a wait for that in each batch would be seen."""
    await engine.send("PUT", f"/{prepared}/_settings", {"index.refresh_interval": "60s"})
    async with faulty_proxy(opensearch.url) as proxy, await Engine.connect(proxy.url) as behind:
        writer = AsyncSparseWriter(behind, client, prepared, WriterOptions(batch_documents=4, in_flight=2))
        async with asyncio.timeout(30.0):
            outcomes = await writer.write(articles(20), refresh=True)
        paths = [path for _, path in proxy.requests]
    assert all(outcome.written for outcome in outcomes)
    assert (paths.count("/_bulk"), paths.count(f"/{prepared}/_refresh")) == (5, 2)
    assert await engine.count(prepared) == 20


async def test_batches_that_can_not_be_refreshed_say_so(
    opensearch: Node, client: AsyncSidecarClient, prepared: str
) -> None:
    async with (
        faulty_proxy(opensearch.url, only="/_refresh") as proxy,
        await Engine.connect(proxy.url, bulk=BulkPolicy(attempts=2, first_wait=0.0)) as behind,
    ):
        writer = AsyncSparseWriter(behind, client, prepared, WriterOptions(batch_documents=4))
        proxy.play([None, Status(503), Status(503)])
        outcomes = await writer.write(articles(8), refresh=True)
    assert [(one.stage, one.reason, one.retriable, one.has_vector) for one in outcomes] == [
        (Stage.WRITE, "EngineUnavailable", True, True)
    ] * 8
    assert outcomes[0].message.startswith("Written, but may not be searchable yet: ")
