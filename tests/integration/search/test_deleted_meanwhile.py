"""Documents that are deleted between a search's first request and its second."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from sidecar.engine import BulkAction, BulkOperation, Engine
from sidecar.search import AsyncSearcher
from tests.integration.search.conftest import World, fill

pytestmark = pytest.mark.integration

QUERY = "a wolf near the river in the snow"


class Deleting(Engine):
    """Deletes documents that the retrievers found, before anybody learns what they found; counts second requests."""

    doomed: Sequence[str] = ()
    fetches = 0

    async def multi_search(self, index, bodies, timeout=None):
        answers = await super().multi_search(index, bodies, timeout)
        actions = [BulkAction(index, name, operation=BulkOperation.DELETE) for name in self.doomed]
        assert all(item.written for item in await self.bulk(actions, refresh=True))
        return answers

    async def search(self, index, body, timeout=None):
        self.fetches += 1
        return await super().search(index, body, timeout)


@pytest.fixture
def animals(opensearch, search_sidecar) -> Iterator[World]:
    """An index of one's own: what is deleted is gone."""
    index = f"meanwhile-{uuid.uuid4().hex[:8]}"
    asyncio.run(fill(opensearch.url, search_sidecar.target, index))
    yield World(opensearch.url, search_sidecar.target, index)

    async def gone() -> None:
        async with await Engine.connect(opensearch.url) as connected:
            await connected.delete_index(index)

    asyncio.run(gone())


@pytest.fixture
async def deleting(animals: World) -> AsyncIterator[Deleting]:
    async with await Deleting.connect(animals.url) as connected:
        yield connected


@pytest.mark.parametrize("name", ["hybrid", "hybrid-rrf+rerank"])
@pytest.mark.parametrize(("places", "from_"), [(range(1, 2), 0), (range(5, 17), 10), (range(200), 0)])
async def test_the_next_ones_stand_in_for_them(animals, deleting, client, name, places, from_) -> None:
    searcher = AsyncSearcher(deleting, client, name, index=animals.index)
    before = [hit.id for hit in (await searcher.search(QUERY, size=500)).hits]
    deleting.doomed, deleting.fetches = [before[place] for place in places], 0
    result = await searcher.search(QUERY, size=10, from_=from_)
    assert len(result.hits) == 10
    assert [hit.rank for hit in result.hits] == list(range(from_ + 1, from_ + 11))
    assert all(set(hit.source) == {"title", "text", "kind", "number"} for hit in result.hits)
    assert deleting.fetches <= (2 if len(places) < 20 else 6)
    shown = [hit.id for hit in result.hits]
    assert len(set(shown)) == 10
    assert not set(shown) & set(deleting.doomed)


async def test_at_the_end_nobody_stands_in(animals, deleting, client) -> None:
    searcher = AsyncSearcher(deleting, client, "hybrid", index=animals.index)
    before = [hit.id for hit in (await searcher.search(QUERY, size=500)).hits]
    deleting.doomed = before[-2:]
    result = await searcher.search(QUERY, size=10, from_=len(before) - 3)
    assert [hit.id for hit in result.hits] == before[-3:-2]
    assert set(result.hits[0].source) == {"title", "text", "kind", "number"}
