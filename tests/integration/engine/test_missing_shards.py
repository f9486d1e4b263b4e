"""A shard that no node has: clusters answer from the others, and count it neither as failed nor as an error."""

from __future__ import annotations

import pytest

from sidecar.engine import Engine, ScanSpec
from sidecar.engine.scan import has_point_in_time
from sidecar.errors import EngineUnavailable
from tests.support.shards import create_lacking, find_shard

pytestmark = pytest.mark.integration

EVERYTHING = {"match_all": {}}


@pytest.fixture
async def lacking(engine: Engine, index_name: str) -> str:
    await create_lacking(engine, index_name, {})
    return index_name


async def scanned(engine: Engine, index: str, slices: int) -> int:
    async with engine.scan(ScanSpec(index, EVERYTHING, [], slices)) as scan:
        return sum([len(page) for part in range(slices) async for page in scan.pages(part, lambda: 9)])


async def test_a_count_of_the_rest_is_no_count(engine: Engine, lacking: str) -> None:
    """Who takes it for all deletes an old index whose copy lacks as much."""
    with pytest.raises(EngineUnavailable, match=rf"did not count in all shards of {lacking}: see `GET /_cat/shards"):
        await engine.count(lacking)
    await find_shard(engine, lacking)
    assert await engine.count(lacking) == 0


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("scrolling", [False, True])
async def test_a_scan_of_the_rest_is_no_scan(
    engine: Engine, lacking: str, slices: int, scrolling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies and repairs would end as if they had seen every document."""
    if scrolling:
        monkeypatch.setattr("sidecar.engine.scan.has_point_in_time", lambda cluster: False)
    else:
        assert has_point_in_time(engine.info)
    with pytest.raises(EngineUnavailable):
        await scanned(engine, lacking, slices)
    await find_shard(engine, lacking)
    assert await scanned(engine, lacking, slices) == 0


async def test_a_search_of_the_rest_says_so(engine: Engine, lacking: str) -> None:
    found = await engine.search(lacking, {"query": EVERYTHING})
    assert found.shards_unread == 1
    await find_shard(engine, lacking)
    assert (await engine.search(lacking, {"query": EVERYTHING})).shards_unread == 0
