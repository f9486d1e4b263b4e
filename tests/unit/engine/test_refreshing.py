"""Documents of several requests: searchable before the answer, without a wait for each request."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, BulkPolicy
from sidecar.engine.bulk_writer import BulkWriter
from sidecar.errors import EngineError, EngineOverloaded, EngineRejected, EngineUnavailable, IndexNotFound

POLICY = BulkPolicy(attempts=3, first_wait=0.0, longest_wait=0.0, held_up_seconds=0.0, max_items=3)
WAITED, REFRESHED, WRITTEN = "waited", "refreshed", "written"
FORBIDDEN = EngineRejected("no permissions for [indices:admin/refresh]", status=403)


DONE: JsonObject = {"_shards": {"total": 2, "successful": 1, "failed": 0}}


class Cluster:
    """Every document has a shard of its own; the n-th refresh is answered by the n-th of `refreshes`."""

    def __init__(self, *refreshes: EngineError | JsonObject) -> None:
        self.refreshes = list(refreshes)
        self.log: list[str] = []
        self.written: set[str] = set()
        self.searchable: set[str] = set()

    async def send(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        if path.endswith("/_refresh"):
            answer = (
                self.refreshes.pop(0) if self.refreshes else {"_shards": {"total": 2, "successful": 1, "failed": 0}}
            )
            self.log.append(f"{REFRESHED} {path}")
            if isinstance(answer, EngineError):
                raise answer
            self.searchable |= self.written
            return answer
        assert isinstance(body, bytes)
        names = [orjson.loads(line)["index"]["_id"] for line in body.splitlines()[::2]]
        self.written.update(names)
        waits = parameters == {"refresh": "wait_for"}
        self.searchable.update(names if waits else ())
        self.log.append(WAITED if waits else WRITTEN)
        return {"items": [{"index": {"_id": name, "status": 201}} for name in names]}


def actions(count: int, index: str = "i") -> list[BulkAction]:
    return [BulkAction(index, f"{index}{number}", {"n": number}) for number in range(count)]


@given(st.integers(0, 12), st.sampled_from([(), (FORBIDDEN,), (IndexNotFound("gone"),), (EngineUnavailable("away"),)]))
def test_whatever_the_cluster_allows_all_are_searchable(count: int, refreshes: tuple[EngineError, ...]) -> None:
    import asyncio

    cluster = Cluster(*refreshes)
    items = asyncio.run(BulkWriter(cluster, POLICY).write(actions(count), refresh=True))
    assert all(item.written for item in items)
    assert cluster.searchable == {item.action.id for item in items}
    assert len(cluster.searchable) == count


async def test_several_requests_are_refreshed_once_and_wait_for_nothing() -> None:
    cluster = Cluster()
    writer = BulkWriter(cluster, POLICY)
    await writer.write(actions(7), refresh=True)
    assert cluster.log == [f"{REFRESHED} /i/_refresh", WRITTEN, WRITTEN, WRITTEN, f"{REFRESHED} /i/_refresh"]
    cluster.log.clear()
    await writer.write(actions(4), refresh=True)
    assert cluster.log == [WRITTEN, WRITTEN, f"{REFRESHED} /i/_refresh"], "the right is tried once"


async def test_one_request_waits_and_refreshes_nothing() -> None:
    cluster = Cluster()
    await BulkWriter(cluster, POLICY).write(actions(3), refresh=True)
    assert cluster.log == [WAITED]


async def test_nothing_is_refreshed_unasked() -> None:
    cluster = Cluster()
    await BulkWriter(cluster, POLICY).write(actions(7))
    assert cluster.log == [WRITTEN] * 3
    assert cluster.searchable == set()


async def test_who_may_not_refresh_waits_with_each_request_and_tries_once() -> None:
    cluster = Cluster(FORBIDDEN)
    writer = BulkWriter(cluster, POLICY)
    for _ in range(2):
        await writer.write(actions(4), refresh=True)
    assert cluster.log == [f"{REFRESHED} /i/_refresh", *[WAITED] * 4]


async def test_each_index_is_refreshed() -> None:
    cluster = Cluster()
    await BulkWriter(cluster, POLICY).write([*actions(2, "one"), *actions(2, "two")], refresh=True)
    assert sorted(cluster.log[-2:]) == [f"{REFRESHED} /one/_refresh", f"{REFRESHED} /two/_refresh"]


@pytest.mark.parametrize("passing", [EngineOverloaded("busy"), {"_shards": {"failed": 1}}])
async def test_a_refresh_that_fails_is_repeated(passing: EngineError | JsonObject) -> None:
    cluster = Cluster({}, passing)
    items = await BulkWriter(cluster, POLICY).write(actions(4), refresh=True)
    assert all(item.written for item in items)
    assert cluster.log[-2:] == [f"{REFRESHED} /i/_refresh"] * 2


async def test_where_no_refresh_succeeds_no_document_counts_as_searchable() -> None:
    cluster = Cluster({}, *[EngineUnavailable("away")] * POLICY.attempts)
    items = await BulkWriter(cluster, POLICY).write(actions(4), refresh=True)
    assert [(item.written, item.unreachable, item.error_type) for item in items] == [
        (False, True, "EngineUnavailable")
    ] * 4
    assert items[0].reason == "Written, but may not be searchable yet: away"
