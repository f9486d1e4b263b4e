"""Bulk writing against a cluster that fails in every way it can: each action is answered once, in its place."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from unittest import mock

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import AsyncRetrying, RetryCallState

from sidecar.cluster.second_index import BLOCK_SECONDS
from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, BulkItem, BulkOperation, BulkPolicy
from sidecar.engine.bulk_writer import BulkWriter
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable, IndexNotFound

POLICY = BulkPolicy(attempts=4, first_wait=0.0, longest_wait=0.0, held_up_seconds=0.0, max_items=3)

PASSING = (429, 502, 503, 504)


def head_of(line: bytes) -> tuple[str, str]:
    ((operation, head),) = orjson.loads(line).items()
    return operation, head["_id"]


WRITE_BLOCK = "index [i] blocked by: [FORBIDDEN/8/index write (api)];"
FULL_DISK = "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];"


class Cluster:
    """Answers each document by the next of its statuses (the last one for ever), and the n-th request by an error."""

    def __init__(
        self,
        statuses: Mapping[str, Sequence[int]] = {},
        errors: Sequence[EngineError | None] = (),
        largest: int = 1_000_000,
    ) -> None:
        self.statuses = {name: list(given) for name, given in statuses.items()}
        self.errors = list(errors)
        self.largest = largest
        self.requests: list[list[str]] = []
        self.refreshed: list[bool] = []

    async def send(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        assert (method, path) == ("POST", "/_bulk")
        assert isinstance(body, bytes)
        assert timeout == POLICY.timeout
        lines = body.splitlines()
        operations = [head_of(line) for place, line in enumerate(lines) if place % 2 == 0]
        self.refreshed.append(parameters == {"refresh": "wait_for"})
        if len(body) > self.largest:
            raise EngineRejected("The cluster refuses a request of that size.", status=413)
        self.requests.append([name for _, name in operations])
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return {"items": [self._item(operation, name) for operation, name in operations]}

    def _item(self, operation: str, name: str) -> JsonObject:
        given = self.statuses.get(name, [200])
        status = given.pop(0) if len(given) > 1 else given[0]
        error = {} if status < 300 else {"error": {"type": f"type_{status}", "reason": "because"}}
        return {operation: {"_id": name, "status": status, **error}}


def actions(*names: str) -> list[BulkAction]:
    return [BulkAction("i", name, {"n": name}) for name in names]


async def write(cluster: Cluster, wanted: Sequence[BulkAction], *, refresh: bool = False) -> tuple[BulkItem, ...]:
    return await BulkWriter(cluster, POLICY).write(wanted, refresh=refresh)


statuses = st.lists(st.sampled_from([200, 201, 400, 409, *PASSING]), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(statuses, max_size=8))
async def test_every_action_is_answered_once_by_its_last_answer(given: list[list[int]]) -> None:
    names = [f"d{number}" for number in range(len(given))]
    cluster = Cluster(dict(zip(names, given, strict=True)))
    items = await write(cluster, actions(*names))
    assert [item.action.id for item in items] == names
    for name, told, item in zip(names, given, items, strict=True):
        final = next((place for place, status in enumerate(told) if status not in PASSING), None)
        tries = POLICY.attempts if final is None else min(final + 1, POLICY.attempts)
        assert item.attempts == tries
        assert sum(request.count(name) for request in cluster.requests) == tries
        assert item.status == told[min(tries, len(told)) - 1]
        assert item.written == (item.status < 300)
        assert item.error_type == ("" if item.written else f"type_{item.status}")


async def test_what_is_written_is_not_sent_again_with_what_is_not() -> None:
    cluster = Cluster({"b": [429, 503, 200]})
    items = await write(cluster, actions("a", "b", "c"))
    assert cluster.requests == [["a", "b", "c"], ["b"], ["b"]]
    assert [(item.status, item.attempts) for item in items] == [(200, 1), (200, 3), (200, 1)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineOverloaded("Overloaded (429).", retry_after=1.0), 429),
        (EngineUnavailable("No cluster answers."), 0),
    ],
)
async def test_a_whole_request_that_fails_is_sent_again_and_told_of_at_last(error: EngineError, status: int) -> None:
    once = Cluster(errors=[error])
    assert all(item.written and item.attempts == 2 for item in await write(once, actions("a", "b")))
    ever = Cluster(errors=[error] * 9)
    items = await write(ever, actions("a", "b"))
    assert len(ever.requests) == POLICY.attempts
    assert {(item.status, item.error_type, item.reason) for item in items} == {
        (status, type(error).__name__, error.message)
    }
    assert all(item.unreachable == (status == 0) for item in items)


async def test_a_request_that_is_refused_is_not_sent_again() -> None:
    cluster = Cluster(errors=[EngineRejected("The cluster does not allow this user to do that (403).")])
    items = await write(cluster, actions("a", "b", "c", "d"))
    assert cluster.requests == [["a", "b", "c"], ["d"]]
    assert [item.status for item in items] == [400, 400, 400, 200]


@pytest.mark.parametrize("refusal", [EngineRejected("Not allowed (403)."), IndexNotFound("No such index.")])
async def test_a_request_that_is_refused_after_one_without_an_answer_may_have_been_written(
    refusal: EngineError,
) -> None:
    cluster = Cluster(errors=[EngineUnavailable("No cluster answers."), refusal])
    (item,) = await write(cluster, actions("a"))
    assert (item.status, item.unreachable, item.written, item.attempts) == (0, True, False, 2)
    assert item.reason == f"No cluster answers. Then: {refusal.message}"
    cluster = Cluster(errors=[EngineOverloaded("Overloaded (429).", retry_after=1.0), refusal])
    (item,) = await write(cluster, actions("a"))
    assert (item.status, item.request_refused, item.attempts) == (400, True, 2)


@pytest.mark.parametrize(("status", "unsure"), [(403, True), (400, False), (409, False)])
async def test_what_looks_at_the_document_itself_is_believed(status: int, unsure: bool) -> None:
    cluster = Cluster({"a": [status]}, errors=[EngineUnavailable("No cluster answers.")])
    (item,) = await write(cluster, actions("a"))
    assert (item.status, item.unreachable) == ((0, True) if unsure else (status, False))


async def test_a_conflict_with_an_attempt_that_was_not_answered_is_told_as_what_it_may_be() -> None:
    cluster = Cluster({"a": [409]}, errors=[EngineUnavailable("No cluster answers.")])
    (item,) = await write(cluster, actions("a"))
    assert (item.conflict, item.unreachable, item.attempts) == (True, False, 2)
    assert item.reason == "because (An earlier attempt had no answer: what is there may be its.)"
    (item,) = await write(Cluster({"a": [409]}), actions("a"))
    assert item.reason == "because"


async def test_a_write_that_is_blocked_while_an_alias_is_switched_is_tried_again() -> None:
    class Blocking(Cluster):
        def _item(self, operation: str, name: str) -> JsonObject:
            if len(self.requests) < 3:
                error = {"type": "cluster_block_exception", "reason": WRITE_BLOCK}
                return {operation: {"_id": name, "status": 403, "error": error}}
            return super()._item(operation, name)

    (item,) = await write(Blocking(), actions("a"))
    assert (item.written, item.blocked, item.attempts) == (True, False, 3)


class Blocked(Cluster):
    """Refuses all writes, for good, as an index does by a setting of its own."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__()
        self._status, self._reason = status, reason

    def _item(self, operation: str, name: str) -> JsonObject:
        error = {"type": "cluster_block_exception", "reason": self._reason}
        return {operation: {"_id": name, "status": self._status, "error": error}}


@pytest.mark.parametrize(
    ("status", "reason", "waits_on"),
    [
        (403, WRITE_BLOCK, True),
        (403, "index [i] blocked by: [FORBIDDEN/5/index read-only (api)];", False),
        (429, FULL_DISK, False),
    ],
)
async def test_a_write_block_is_waited_for_however_few_the_attempts(status: int, reason: str, waits_on: bool) -> None:
    """What holds writes up for a switch goes by; a full disk and an index that was made read-only do not."""
    policy = BulkPolicy(attempts=3, first_wait=0.01, held_up_seconds=0.2, longest_held_up_wait=0.02)
    before = time.monotonic()
    (item,) = await BulkWriter(Blocked(status, reason), policy).write(actions("a"))
    assert (item.blocked, item.held_up, item.attempts > policy.attempts) == (True, waits_on, waits_on)
    assert waits_on == (time.monotonic() - before >= 0.2)


def test_by_default_a_write_block_is_waited_for_longer_than_a_switch_may_take() -> None:
    assert BulkPolicy().held_up_seconds - BulkPolicy().longest_held_up_wait > BLOCK_SECONDS


@pytest.mark.parametrize("largest", [10_000, 60, 35])
async def test_a_request_that_is_too_large_is_halved_until_it_passes(largest: int) -> None:
    cluster = Cluster(largest=largest)
    names = [f"d{number}" for number in range(7)]
    items = await write(cluster, actions(*names))
    assert [item.action.id for item in items] == names
    passed = [name for request in cluster.requests for name in request]
    sizes = {name: len(action.lines()) for name, action in zip(names, actions(*names), strict=True)}
    assert passed == [name for name in names if sizes[name] <= largest]
    for item in items:
        fits = sizes[item.action.id] <= largest
        assert item.written == fits
        assert fits or (item.status == 413 and not item.request_refused)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"items": None},
        {"items": []},
        {"items": [None]},
        {"items": [{"index": {"status": 200}}]},
        {"items": [{"index": {"_id": "another", "status": 200}}]},
        {"items": [{"create": {"_id": "a", "status": 200}}]},
        {"items": [{"index": {"_id": "a", "status": "200"}}]},
    ],
)
async def test_an_answer_that_does_not_tell_of_a_document_is_no_success(answer: JsonObject) -> None:
    class Mute(Cluster):
        async def send(self, *arguments: object, **options: object) -> JsonObject:
            self.requests.append(["a"])
            return answer

    mute = Mute()
    (item,) = await write(mute, actions("a"))
    assert (item.written, item.unreachable) == (False, True)
    assert "does not tell" in item.reason
    assert len(mute.requests) == POLICY.attempts


async def test_what_json_can_not_hold_goes_nowhere_and_costs_nobody_else() -> None:
    cluster = Cluster()
    wanted = [*actions("a"), BulkAction("i", "bad", {"text": "\ud800"}), *actions("b")]
    items = await write(cluster, wanted)
    assert cluster.requests == [["a", "b"]]
    assert [(item.status, item.attempts) for item in items] == [(200, 1), (400, 0), (200, 1)]
    assert items[1].error_type == "MALFORMED_TEXT"


async def test_nothing_to_write_is_no_request() -> None:
    cluster = Cluster()
    assert await write(cluster, []) == ()
    assert cluster.requests == []


async def test_two_writes_of_one_document_are_done_one_after_the_other() -> None:
    """Retried item by item, two of one request could change places: the older one would win."""
    cluster = Cluster({"a": [503, 200, 200]})
    items = await write(cluster, actions("a", "b", "a"))
    assert cluster.requests == [["a", "b"], ["a"], ["a"]]
    assert [item.attempts for item in items] == [2, 1, 1]


@pytest.mark.parametrize("refresh", [True, False])
async def test_a_refresh_is_waited_for_in_every_attempt_of_one_request(refresh: bool) -> None:
    cluster = Cluster({"a": [503, 200]})
    await write(cluster, actions("a", "b", "c"), refresh=refresh)
    assert cluster.refreshed == [refresh] * 2


@pytest.mark.parametrize(
    ("status", "kind", "property_"),
    [
        (409, "version_conflict_engine_exception", "conflict"),
        (404, "document_missing_exception", "missing"),
        (403, "cluster_block_exception", "blocked"),
        (429, "cluster_block_exception", "blocked"),
        (0, "EngineUnavailable", "unreachable"),
        (201, "", "written"),
    ],
)
def test_an_item_is_exactly_one_thing(status: int, kind: str, property_: str) -> None:
    item = BulkItem(BulkAction("i", "a", {}), status, kind)
    names = ("conflict", "missing", "blocked", "unreachable", "written")
    assert [name for name in names if getattr(item, name)] == [property_]


def test_an_index_that_is_missing_is_no_document_that_is_missing() -> None:
    item = BulkItem(BulkAction("i", "a", {"script": {}}, BulkOperation.UPDATE), 404, "index_not_found_exception")
    assert not item.missing
    assert not item.written


@given(first=st.floats(0.001, 5.0), longest=st.floats(0.001, 60.0), attempts=st.integers(1, 12), chance=st.randoms())
def test_every_wait_is_at_least_half_of_what_it_may_be(
    first: float, longest: float, attempts: int, chance: random.Random
) -> None:
    """All of it drawn at random, six attempts could be over in a second: shorter than a swap refuses writes."""
    waits = BulkPolicy(first_wait=first, longest_wait=longest).waits()
    with mock.patch("random.uniform", chance.uniform):
        for attempt in range(1, attempts + 1):
            state = RetryCallState(AsyncRetrying(), None, (), {})
            state.attempt_number = attempt
            longest_now = min(longest, first * 2 ** (attempt - 1))
            assert longest_now / 2 * 0.999 <= waits(state) <= longest_now * 1.001


def test_the_default_outlasts_some_seconds_of_refusal() -> None:
    policy = BulkPolicy()
    state = RetryCallState(AsyncRetrying(), None, (), {})
    least = 0.0
    with mock.patch("random.uniform", lambda low, high: low):
        for state.attempt_number in range(1, policy.attempts):
            least += policy.waits()(state)
    assert least == pytest.approx(7.75)
