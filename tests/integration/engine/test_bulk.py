"""Bulk writing into a real node, through a proxy that fails as networks and busy clusters do."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.engine import BulkAction, BulkOperation, BulkPolicy, Engine
from tests.support.faults import Cut, Fault, FaultyProxy, Items, Shortened, Status, faulty_proxy
from tests.support.nodes import Node

pytestmark = [pytest.mark.integration, pytest.mark.faults]

QUICK = BulkPolicy(attempts=4, first_wait=0.001, longest_wait=0.002, max_items=7, timeout=5.0)
STRICT = {
    "settings": {"refresh_interval": "10ms"},
    "mappings": {"dynamic": "strict", "properties": {"n": {"type": "integer"}, "f": {"type": "rank_features"}}},
}

places = st.frozensets(st.integers(0, 9), min_size=1, max_size=4)
faults = st.one_of(
    st.none(),
    st.sampled_from([Cut.BEFORE, Cut.AFTER, Shortened()]),
    st.sampled_from([429, 503, 502, 504, 400, 403]).map(Status),
    st.builds(Items, st.sampled_from([429, 503]), places),
)
operations = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(["index", "index", "index", "delete", "bad"])), max_size=30
)


def action(index: str, place: int, identifier: str, kind: str) -> BulkAction:
    match kind:
        case "delete":
            return BulkAction(index, identifier, operation=BulkOperation.DELETE)
        case "bad":
            return BulkAction(index, identifier, {"n": "no number"})
        case _:
            return BulkAction(index, identifier, {"n": place})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(wanted=[(0, "index")], script=[Cut.BEFORE, Cut.BEFORE, Cut.AFTER, Status(429)])
@given(operations, st.lists(faults, max_size=12))
async def test_every_action_is_answered_once_and_truly(
    opensearch: Node, wanted: list[tuple[int, str]], script: list[Fault]
) -> None:
    """What is said to be written is in the index, what is said to be refused is not, whatever happens on the way."""
    index, run = "test-bulk-law", uuid.uuid4().hex
    async with (
        faulty_proxy(opensearch.url) as proxy,
        await Engine.connect(opensearch.url) as direct,
        await Engine.connect(proxy.url, bulk=QUICK) as engine,
    ):
        if not await direct.index_exists(index):
            await direct.create_index(index, STRICT)
        proxy.play(script)
        actions = [action(index, place, f"{run}-{number}", kind) for place, (number, kind) in enumerate(wanted)]
        items = await engine.bulk(actions)
        assert [item.action for item in items] == actions
        await direct.refresh(index)
        query = {"ids": {"values": [f"{run}-{number}" for number in range(9)]}}
        answer = await direct.search(index, {"query": query, "size": 100})
        found = {hit.id: hit.source["n"] for hit in answer.hits}
    last: dict[str, object] = {}
    uncertain: set[str] = set()
    for item in items:
        identifier = item.action.id
        if item.written:
            last[identifier] = None if item.action.document is None else item.action.document["n"]
            uncertain.discard(identifier)
        elif item.status == 0:
            # Never answered: it may have been done.
            uncertain.add(identifier)
    for identifier, value in last.items():
        if identifier not in uncertain:
            assert found.get(identifier) == value
    assert set(found) <= last.keys() | uncertain


async def through(proxy: FaultyProxy, policy: BulkPolicy = QUICK) -> Engine:
    return await Engine.connect(proxy.url, bulk=policy)


@pytest.mark.parametrize("fault", [Status(429), Status(503), Cut.BEFORE, Cut.AFTER, Shortened()], ids=str)
async def test_a_passing_fault_costs_nothing(opensearch: Node, engine: Engine, index_name: str, fault: Fault) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([fault, fault])
        items = await unlucky.bulk([BulkAction(index_name, str(n), {"n": n}) for n in range(5)], refresh=True)
    assert all(item.written for item in items)
    assert max(item.attempts for item in items) == 3
    assert await engine.count(index_name) == 5


async def test_only_the_refused_items_are_sent_again(opensearch: Node, engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([Items(429, frozenset({1, 3}))])
        items = await unlucky.bulk([BulkAction(index_name, str(n), {"n": n}) for n in range(5)])
    assert [item.attempts for item in items] == [1, 2, 1, 2, 1]


async def test_a_lost_answer_makes_no_duplicate(opensearch: Node, engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([Cut.AFTER])
        (item,) = await unlucky.bulk([BulkAction(index_name, "1", {"n": 1})], refresh=True)
    assert item.written
    assert item.status == 200, "the second time it is an update of the first"
    assert await engine.count(index_name) == 1


async def test_a_fault_that_stays_is_reported_per_item(opensearch: Node, engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([Status(429)] * 99)
        items = await unlucky.bulk([BulkAction(index_name, str(n), {"n": n}) for n in range(3)])
        assert [(item.status, item.attempts, item.error_type) for item in items] == [(429, 4, "EngineOverloaded")] * 3
        proxy.play([Cut.BEFORE] * 99)
        items = await unlucky.bulk([BulkAction(index_name, "1", {"n": 1})])
        assert items[0].unreachable
        assert len(proxy.requests) == 4


async def test_a_bad_document_harms_no_other(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    items = await engine.bulk(
        [
            BulkAction(index_name, "1", {"n": 1}),
            BulkAction(index_name, "2", {"n": "not a number"}),
            BulkAction(index_name, "3", {"unknown": 1}),
            BulkAction(index_name, "4", {"f": {"zero": 0}}),
            BulkAction(index_name, "5", {"n": "\ud800"}),
            BulkAction(index_name, "6", {"n": 6}),
        ]
    )
    assert [item.status for item in items] == [201, 400, 400, 400, 400, 201]
    assert [item.error_type for item in items[1:5]] == [
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "mapper_parsing_exception",
        "MALFORMED_TEXT",
    ]
    assert "positive normal float" in items[3].reason


async def test_a_newer_write_is_not_overwritten(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    await engine.bulk([BulkAction(index_name, "1", {"n": 1}), BulkAction(index_name, "1", {"n": 2})])
    (item,) = await engine.bulk([BulkAction(index_name, "1", {"n": 3}, if_seq_no=0, if_primary_term=1)])
    assert (item.status, item.error_type) == (409, "version_conflict_engine_exception")
    assert await engine.get(index_name, "1") == {"n": 2}


async def test_of_two_writes_of_one_document_the_later_wins(opensearch: Node, engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([Items(429, frozenset({0}))])
        await unlucky.bulk([BulkAction(index_name, "1", {"n": n}) for n in range(4)])
    assert await engine.get(index_name, "1") == {"n": 3}


async def test_a_request_that_is_too_large_is_halved(opensearch: Node, engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    async with faulty_proxy(opensearch.url) as proxy, await through(proxy) as unlucky:
        proxy.play([Status(413), Status(413)])
        items = await unlucky.bulk([BulkAction(index_name, str(n), {"n": n}) for n in range(6)])
        assert [item.written for item in items] == [True] * 6
        assert len(proxy.requests) == 5
        proxy.play([Status(413)])
        (item,) = await unlucky.bulk([BulkAction(index_name, "big", {"n": 1})])
        assert (item.status, item.error_type) == (413, "request_entity_too_large")
        assert not item.request_refused


async def test_thousands_of_documents(engine: Engine, index_name: str) -> None:
    await engine.create_index(index_name, STRICT)
    items = await engine.bulk([BulkAction(index_name, str(n), {"n": n}) for n in range(3_000)])
    await engine.refresh(index_name)
    assert all(item.written for item in items)
    assert await engine.count(index_name) == 3_000


async def test_a_write_that_is_refused_for_a_moment_is_repeated(
    opensearch: Node, engine: Engine, index_name: str
) -> None:
    """As it is while an alias is switched to another index."""
    await engine.create_index(index_name, {})
    await engine.send("PUT", f"/{index_name}/_block/write")
    refused = (await engine.bulk([BulkAction(index_name, "1", {"text": "x"})]))[0]
    assert (refused.blocked, refused.status, refused.attempts) == (True, 403, 6)
    patient = BulkPolicy(attempts=1_000, first_wait=0.02, longest_wait=0.1)
    async with await Engine.connect(opensearch.url, bulk=patient) as waiting:
        writing = asyncio.ensure_future(waiting.bulk([BulkAction(index_name, "1", {"text": "x"})]))
        await asyncio.sleep(0.2)
        await engine.send("PUT", f"/{index_name}/_settings", {"index.blocks.write": None})
        (written,) = await writing
    assert written.written
