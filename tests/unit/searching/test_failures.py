"""Callers learn whether to come again and what was wrong with their request; where the cluster is, the log does."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from sidecar.engine.failures import Cause, from_cause
from sidecar.errors import (
    EngineError,
    EngineOverloaded,
    EngineRejected,
    EngineUnavailable,
    IndexNotFound,
    IndexNotPrepared,
    InvalidInput,
    UnsupportedEngine,
    wire_error,
)
from sidecar.server.repeats import Repeats
from sidecar.server.searching import failures
from sidecar.server.searching.failures import for_caller

ADDRESS = "https://search.internal:9200"


@pytest.fixture(autouse=True)
def fresh_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_lines", Repeats(60.0))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineUnavailable(f"No cluster answers at {ADDRESS}.", retry_after=2.0), 503),
        (EngineUnavailable(f"TLS to {ADDRESS} failed."), 503),
        (EngineOverloaded(f"429 from {ADDRESS}"), 429),
        (EngineRejected(f"The user reader may not, says {ADDRESS}."), 502),
        (UnsupportedEngine(f"What answers at {ADDRESS} is a printer."), 502),
    ],
)
@pytest.mark.parametrize("clauses", [None, "filter"])
def test_where_the_cluster_is_stays_in_the_log(error: EngineError, status: int, clauses: str | None) -> None:
    with capture_logs() as lines:
        told = for_caller(error, clauses=clauses)
        for_caller(error, clauses=clauses)
    assert wire_error(told).http_status == status
    assert type(told) is type(error)
    assert ADDRESS not in told.message
    assert "reader" not in told.message
    assert [line["detail"] for line in lines] == [error.message]
    assert (told.retry_after is not None) == (status in (429, 503))


def test_seconds_to_wait_are_handed_on() -> None:
    assert for_caller(EngineUnavailable("x", retry_after=7.0), clauses=None).retry_after == 7.0


def test_a_request_that_the_cluster_calls_wrong_is_the_callers_where_it_has_clauses_of_his() -> None:
    cause = Cause(400, "parsing_exception", "[range] query does not support [gtee]")
    told = for_caller(from_cause(cause), clauses="filter")
    assert isinstance(told, InvalidInput)
    assert told.field == "filter"
    assert "gtee" in told.message
    assert isinstance(for_caller(from_cause(cause), clauses=None), EngineRejected)


@pytest.mark.parametrize("status", [401, 403])
def test_rights_are_the_operators_whatever_the_caller_sent(status: int) -> None:
    told = for_caller(from_cause(Cause(status, "security_exception", "no permissions")), clauses="body")
    assert isinstance(told, EngineRejected)
    assert "permissions" not in told.message


@pytest.mark.parametrize("error", [IndexNotFound("The index does not exist: a."), IndexNotPrepared("Set it up.")])
def test_what_concerns_the_index_is_told_as_it_is(error: EngineError) -> None:
    assert for_caller(error, clauses=None) is error


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 502, 503, 504])
def test_an_error_of_the_cluster_carries_its_status(status: int) -> None:
    assert from_cause(Cause(status, "index_not_found_exception" if status == 404 else "x", "y")).status == status
    assert from_cause(Cause(0)).status is None
