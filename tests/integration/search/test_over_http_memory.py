"""What a process that searches for anybody remembers: one connection, and searchers up to a bound."""

from __future__ import annotations

import asyncio
import time

import pytest

from sidecar.search import BUILT_IN
from sidecar.server.searching import SearchCall, SearchPlan, SearchService, service
from sidecar.settings import load_settings
from tests.integration.search.gateways import QUERY
from tests.support.faults import faulty_proxy

pytestmark = pytest.mark.integration


def searching(url: str, client, indices: str) -> SearchService:
    plan = SearchPlan.of(load_settings(search_engine=url, search_indices=indices))
    assert plan is not None
    return SearchService(plan, client)


async def test_searchers_are_remembered_up_to_a_bound_and_the_latest_stay(world, client, monkeypatch) -> None:
    monkeypatch.setattr(service, "MAX_SEARCHERS", 4)
    behind = searching(world.url, client, "*")
    lexical, sparse = BUILT_IN["lexical"], BUILT_IN["sparse"]
    first = await behind._searcher("one", lexical)
    assert await behind._searcher("one", sparse) is not first
    for name in ("two", "three"):
        await behind._searcher(name, lexical)
        assert await behind._searcher("one", lexical) is first
    for number in range(20):
        await behind._searcher(f"more-{number}", lexical)
    assert len(behind._searchers) == 4
    assert await behind._searcher("one", lexical) is not first
    await behind.close()


async def test_an_index_is_asked_about_itself_once_for_many_searches(world, client) -> None:
    async with faulty_proxy(world.url) as proxy:
        behind = searching(proxy.url, client, world.index)
        asked = SearchCall(world.index, "sparse", QUERY, size=1)
        found = await asyncio.gather(*(behind.search(asked, time.monotonic() + 60.0) for _ in range(8)))
        for _ in range(4):
            found.append(await behind.search(asked, time.monotonic() + 60.0))
        await behind.close()
    assert {result.hits[0].id for result in found} == {"wolf-river-snow"}
    paths = [path for _, path in proxy.requests]
    assert paths.count("/") == 1
    # Those that begin side by side may each ask; those that come later do not.
    assert sum(path.endswith("_mapping") for path in paths) <= 8
    assert sum(path.endswith("_search") for path in paths) >= 12
