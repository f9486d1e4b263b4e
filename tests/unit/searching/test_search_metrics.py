"""What is counted of one search."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.errors import EngineUnavailable
from sidecar.search import BodyResult, StageTimings
from sidecar.server.metrics.searches import observe_search
from tests.unit.searching.test_in_process import counted


def searches(profile: str, **labels: str) -> float:
    return counted("sidecar_searches_total", profile=profile, **labels)


def test_an_answer_is_counted_once_by_what_came_of_it() -> None:
    for degraded, partial in ((None, False), (None, True), ("OVERLOADED", True)):
        with observe_search() as seen:
            seen.profile = "answered"
            seen.answered(degraded, StageTimings(encode_ms=1.0, retrieve_ms=20.0, total_ms=21.0), partial=partial)
    assert searches("answered") == 3
    assert searches("answered", outcome="ok", reason="") == 2
    assert searches("answered", outcome="degraded", reason="OVERLOADED") == 1
    assert counted("sidecar_partial_searches_total", profile="answered") == 2


def test_a_stage_that_did_not_run_has_no_time() -> None:
    with observe_search() as seen:
        seen.profile = "timed"
        seen.answered(None, StageTimings(retrieve_ms=20.0, total_ms=21.0))
    for stage, ran in (("retrieve", 1), ("total", 1), ("encode", 0), ("rerank", 0)):
        assert counted("sidecar_search_stage_duration_seconds_count", profile="timed", stage=stage) == ran
    assert counted("sidecar_search_stage_duration_seconds_sum", profile="timed", stage="retrieve") == 0.02


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineUnavailable("x"), "ENGINE_UNAVAILABLE"),
        (asyncio.CancelledError(), "CANCELLED"),
        (RuntimeError("x"), "INTERNAL"),
    ],
)
def test_a_failure_is_counted_by_its_reason_and_lacks_no_shard(error: BaseException, reason: str) -> None:
    profile = f"failed-{reason}"

    def search() -> None:
        with observe_search() as seen:
            seen.profile = profile
            raise error

    with pytest.raises(type(error)):
        search()
    assert searches(profile, outcome="error", reason=reason) == searches(profile) == 1
    assert counted("sidecar_partial_searches_total", profile=profile) == 0


@pytest.mark.parametrize(
    ("response", "partial"),
    [
        ({}, False),
        ({"timed_out": False, "_shards": {"failed": 0}}, False),
        ({"timed_out": True, "_shards": {"failed": 0}}, True),
        ({"timed_out": False, "_shards": {"failed": 2}}, True),
        ({"timed_out": "yes", "_shards": [1]}, False),
    ],
)
def test_a_clusters_own_answer_says_whether_it_lacks_shards(response: dict[str, object], partial: bool) -> None:
    assert BodyResult(response).partial is partial
