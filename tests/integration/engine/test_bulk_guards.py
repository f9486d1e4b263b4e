"""An index that is not there, and a write to it: both clusters make one, unless they are kept from it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from sidecar.engine import BulkAction, BulkOperation, Engine
from sidecar.engine.bulk import GUARD_ID
from tests.support.nodes import Node

pytestmark = pytest.mark.integration


@pytest.fixture(params=["opensearch", "elasticsearch"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    node: Node = request.getfixturevalue(request.param)
    async with await Engine.connect(node.url) as connected:
        yield connected


@pytest.fixture
async def name(either: Engine) -> AsyncIterator[str]:
    made = f"test-{uuid.uuid4().hex}"
    yield made
    await either.delete_index(made, missing_ok=True)


def writes(name: str) -> list[BulkAction]:
    return [
        BulkAction(name, "a", {"n": 1}),
        BulkAction(name, "b", {"n": 1}, BulkOperation.CREATE),
        BulkAction(name, "c", {"script": {"source": "ctx.op = 'none'"}}, BulkOperation.UPDATE),
        BulkAction(name, "d", operation=BulkOperation.DELETE),
    ]


async def test_no_write_makes_an_index(either: Engine, name: str) -> None:
    for operations in (writes(name), *([one] for one in writes(name))):
        items = await either.bulk(operations)
        assert [item.index_missing for item in items] == [True] * len(operations)
        assert not await either.index_exists(name)


async def test_an_index_that_is_there_is_written_to_and_nothing_besides(either: Engine, name: str) -> None:
    await either.create_index(name, {})
    items = await either.bulk(writes(name), refresh=True)
    assert [item.status for item in items] == [201, 201, 404, 404]
    assert [item.index_missing for item in items] == [False] * 4
    assert await either.count(name) == 2
    assert await either.get(name, GUARD_ID) is None


async def test_an_index_behind_an_alias_is_written_to_and_nothing_besides(either: Engine, name: str) -> None:
    alias = f"{name}-alias"
    await either.create_index(name, {"aliases": {alias: {}}})
    items = await either.bulk(writes(alias), refresh=True)
    assert [item.status for item in items] == [201, 201, 404, 404]
    assert await either.count(name) == 2
    await either.delete_index(name)
    items = await either.bulk(writes(alias))
    assert [item.index_missing for item in items] == [True] * 4
    assert not await either.index_exists(alias)


async def test_one_that_is_gone_costs_only_its_own_documents(either: Engine, name: str) -> None:
    await either.create_index(name, {})
    gone, there = BulkAction(f"{name}-gone", "a", {"n": 1}), BulkAction(name, "a", {"n": 1})
    items = await either.bulk([gone, there, gone, there])
    assert [item.written for item in items] == [False, True, False, True]
    assert not await either.index_exists(f"{name}-gone")
