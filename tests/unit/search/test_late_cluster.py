"""A cluster that answers late: a search's seconds hold for whatever it asks, the index's record among it."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from sidecar.engine import Engine, IndexMeta
from sidecar.errors import EngineUnavailable
from sidecar.search import AsyncSearcher
from sidecar.search.degradation import Deadline
from sidecar.search.encoding import IndexRecord
from tests.unit.cluster.recorded import Recorded, recorded

META = IndexMeta(fingerprint="aa" * 32, bundle="model")
BODY = {"query": {"match": {"text": "wolf"}}}
ANSWERS = {"GET /shop/_mapping": {"shop": {"mappings": {"_meta": META.to_mapping()}}}}
LATE = 20.0
SECONDS = 0.2


class Late(Recorded):
    """Takes its time over a mapping."""

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.endswith("/_mapping"):
            await asyncio.sleep(LATE)
        return await super().handle(request)


async def search(engine: Engine) -> object:
    return await AsyncSearcher(engine, None, "lexical", index="shop").search("wolf", timeout=SECONDS)


async def search_body(engine: Engine) -> object:
    return await AsyncSearcher(engine, None, "lexical", index="shop").search_body(BODY, timeout=SECONDS)


async def augment(engine: Engine) -> object:
    return await AsyncSearcher(engine, None, "lexical", index="shop").augment(BODY, timeout=SECONDS)


async def augment_other(engine: Engine) -> object:
    """Whose body is left alone, so that no record is asked for."""
    return await AsyncSearcher(engine, None, "lexical", index="shop").augment({"size": 0}, timeout=SECONDS)


async def search_plainly(engine: Engine) -> object:
    return await engine.search("shop", BODY, timeout=SECONDS)


async def search_severally(engine: Engine) -> object:
    return await engine.multi_search("shop", [BODY, BODY], timeout=SECONDS)


@pytest.mark.parametrize("asked", [search, search_body, augment, augment_other, search_plainly, search_severally])
async def test_a_mapping_that_comes_late_is_not_waited_for(asked) -> None:
    async with recorded(ANSWERS, Late) as (engine, _):
        started = time.monotonic()
        with pytest.raises(EngineUnavailable, match="did not answer within"):
            await asked(engine)
        assert time.monotonic() - started < LATE / 4


async def test_what_is_left_of_a_search_is_what_reading_its_record_gets() -> None:
    async with recorded(ANSWERS, Late) as (engine, _):
        pinned = IndexRecord(engine, "shop").pinned(Deadline(SECONDS))
        for read in (pinned.get, pinned.read):
            with pytest.raises(EngineUnavailable):
                await read()


async def test_the_record_that_was_read_serves_a_search_whose_time_is_up() -> None:
    async with recorded(ANSWERS) as (engine, cluster):
        record = IndexRecord(engine, "shop")
        assert await record.get() == META
        assert await record.pinned(Deadline(0.0)).get() == META
        assert [path for _, path, _ in cluster.asked].count("/shop/_mapping") == 1
