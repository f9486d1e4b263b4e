"""What is refused before any cluster is asked, and how many may ask it at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.errors import (
    DeadlineExceeded,
    EmptyText,
    EngineUnavailable,
    InvalidInput,
    NotAllowed,
    Overloaded,
    ProfileInvalid,
    TextTooLarge,
)
from sidecar.inference import InferenceService
from sidecar.server.searching import BodyCall, InProcessSidecar, SearchCall, SearchPlan, SearchService
from sidecar.settings import load_settings
from tests.unit.searching.test_connection import stranger
from tests.unit.searching.test_in_process import counted

CALL = SearchCall("articles", "hybrid", "a cat")
BODY = BodyCall("articles", "sparse", {"query": {"match": {"text": "a cat"}}})

FED = """
name: fed
retrievers:
  - {kind: sparse, feedback: {method: rocchio, documents: 2}}
"""


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """An address at which somebody listens and says nothing."""
    async with stranger(None) as (address, _):
        yield address


def searching(service: InferenceService, address: str = "http://127.0.0.1:1", **settings: object) -> SearchService:
    plan = SearchPlan.of(load_settings(**{"search_engine": address, "search_indices": "articles,logs-*", **settings}))
    assert plan is not None
    return SearchService(plan, InProcessSidecar(service))


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize(
    ("call", "error", "field"),
    [
        (SearchCall("salaries", "hybrid", "a cat"), NotAllowed, "index"),
        (SearchCall("articles,salaries", "hybrid", "a cat"), InvalidInput, "index"),
        (SearchCall("articles", "nobody", "a cat"), ProfileInvalid, "profile"),
        (SearchCall("articles", "hybrid", "a cat", filter={"script": {}}), InvalidInput, "filter"),
        (SearchCall("articles", "hybrid", " \n"), EmptyText, "text"),
        (SearchCall("articles", "hybrid", "a cat " * 6_000), TextTooLarge, "text"),
    ],
)
async def test_what_is_not_allowed_is_refused_before_the_cluster_is_asked(
    service: InferenceService, silent: str, call: SearchCall, error: type[Exception], field: str
) -> None:
    behind = searching(service, silent)
    started = time.monotonic()
    with pytest.raises(error) as raised:
        await behind.search(call, soon())
    assert time.monotonic() - started < 1.0
    assert raised.value.field == field
    await behind.close()


async def test_bodies_are_run_where_the_operator_allows_it_only(service: InferenceService, tmp_path: Path) -> None:
    (tmp_path / "fed.yaml").write_text(FED)
    fed = BodyCall("articles", "fed", BODY.body)
    behind = searching(service, search_profiles=tmp_path)
    with pytest.raises(NotAllowed):
        await behind.search_body(BODY, soon())
    with pytest.raises(NotAllowed) as raised:
        await behind.augment(fed, soon())
    assert raised.value.field == "profile"
    # No clause of the body is run here: nothing but the cluster is missing.
    with pytest.raises(EngineUnavailable):
        await behind.augment(BODY, soon())
    await behind.close()
    allowed = searching(service, search_profiles=tmp_path, search_bodies=True)
    for asked in (allowed.search_body(BODY, soon()), allowed.augment(fed, soon())):
        with pytest.raises(EngineUnavailable):
            await asked
    await allowed.close()


async def test_more_than_the_limit_are_refused_at_once_and_room_comes_back(
    service: InferenceService, silent: str
) -> None:
    behind = searching(service, silent, max_searches=3)
    before = counted("sidecar_searches_total", outcome="error", reason="OVERLOADED")
    slow = [asyncio.ensure_future(behind.search(CALL, soon(30.0))) for _ in range(3)]
    await asyncio.sleep(0.05)
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(Overloaded) as raised:
            await behind.search(CALL, soon())
    assert time.monotonic() - started < 1.0
    assert raised.value.retry_after is not None
    assert counted("sidecar_searches_total", outcome="error", reason="OVERLOADED") == before + 20
    slow[0].cancel()
    await asyncio.gather(slow[0], return_exceptions=True)
    with pytest.raises(DeadlineExceeded):
        await behind.search(CALL, soon(0.05))
    with pytest.raises(DeadlineExceeded):
        await behind.search(CALL, soon(0.05))
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await behind.close()


async def test_a_cluster_that_is_down_is_a_503_with_seconds_to_wait(service: InferenceService) -> None:
    behind = searching(service)
    behind.open()
    with pytest.raises(EngineUnavailable) as raised:
        await behind.search(CALL, soon())
    assert raised.value.retry_after is not None
    assert "127.0.0.1" not in raised.value.message
    await behind.close()


async def test_a_deadline_that_has_passed_is_one(service: InferenceService, silent: str) -> None:
    behind = searching(service, silent)
    with pytest.raises(DeadlineExceeded):
        await behind.search(CALL, time.monotonic() - 1.0)
    await behind.close()


async def test_outcomes_are_counted_by_profile_and_reason_and_never_by_a_callers_word(
    service: InferenceService,
) -> None:
    behind = searching(service)
    for call in (CALL, SearchCall("articles", "xylophone", "a cat"), SearchCall("quartz", "sparse", "a cat")):
        with pytest.raises((EngineUnavailable, ProfileInvalid, NotAllowed)):
            await behind.search(call, soon())
    await behind.close()
    assert counted("sidecar_searches_total", profile="hybrid", outcome="error", reason="ENGINE_UNAVAILABLE") >= 1
    assert counted("sidecar_searches_total", profile="", outcome="error", reason="PROFILE_INVALID") >= 1
    assert counted("sidecar_searches_total", profile="sparse", outcome="error", reason="NOT_ALLOWED") >= 1
    assert counted("sidecar_searches_total", profile="xylophone") == 0
