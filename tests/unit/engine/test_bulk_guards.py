"""What keeps a cluster from making an index for a write: one line for each index in every request."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import JsonObject
from sidecar.engine import BulkAction, BulkOperation, BulkPolicy
from sidecar.engine.bulk import GUARD_ID, BulkItem, guards
from sidecar.engine.bulk_writer import BulkWriter
from sidecar.engine.versions import ClusterInfo

POLICY = BulkPolicy(attempts=3, first_wait=0.0, longest_wait=0.0, max_items=3)

ACTIONS = st.lists(
    st.builds(
        lambda index, operation: BulkAction(
            index, "d", None if operation is BulkOperation.DELETE else {"n": 1}, operation=operation
        ),
        st.sampled_from("abc"),
        st.sampled_from([BulkOperation.INDEX, BulkOperation.CREATE, BulkOperation.DELETE]),
    )
)


class Cluster:
    """Answers as a cluster in which `there` are indices, and makes any other that no line guards."""

    def __init__(self, *there: str, busy: int = 0) -> None:
        self.there = set(there)
        self.busy = busy
        self.requests: list[list[tuple[str, str]]] = []

    async def send(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        assert isinstance(body, bytes)
        heads = [next(iter(line.items())) for line in map(orjson.loads, body.splitlines()) if _is_head(line)]
        self.requests.append([(head["_index"], head["_id"]) for _, head in heads])
        guarded = {head["_index"] for _, head in heads if head.get("require_alias")}
        self.there |= {head["_index"] for operation, head in heads if operation != "delete"} - guarded
        self.busy -= 1
        return {"items": [{operation: {"_id": head["_id"], **self._told(head)}} for operation, head in heads]}

    def _told(self, head: JsonObject) -> JsonObject:
        if self.busy >= 0:
            return {"status": 429, "error": {"type": "rejected", "reason": "busy"}}
        if head["_index"] in self.there and not head.get("require_alias"):
            return {"status": 201}
        return {"status": 404, "error": {"type": "index_not_found_exception", "reason": "no such index"}}


def _is_head(line: JsonObject) -> bool:
    return set(line) <= {"index", "create", "update", "delete"}


@given(ACTIONS)
def test_each_index_that_is_written_to_is_guarded_once(actions: list[BulkAction]) -> None:
    lines = [orjson.loads(line) for line in guards(actions).splitlines()]
    assert [line for line in lines[1::2] if line != {"doc": {}}] == []
    guarded = [line["update"]["_index"] for line in lines[::2]]
    assert sorted(guarded) == sorted({one.index for one in actions if one.operation is not BulkOperation.DELETE})
    assert all(line["update"] == {**line["update"], "_id": GUARD_ID, "require_alias": True} for line in lines[::2])


async def test_an_index_that_is_gone_is_not_made_again_and_each_document_says_so() -> None:
    cluster = Cluster("there")
    wanted = [BulkAction(index, str(place), {"n": place}) for place, index in enumerate(["there", "gone", "there"])]
    items = await BulkWriter(cluster, POLICY, guarded=True).write(wanted)
    assert cluster.there == {"there"}
    assert [(item.action.id, item.written, item.index_missing) for item in items] == [
        ("0", True, False),
        ("1", False, True),
        ("2", True, False),
    ]
    assert cluster.requests == [
        [("there", "0"), ("gone", "1"), ("there", "2"), ("there", GUARD_ID), ("gone", GUARD_ID)]
    ]


async def test_what_is_sent_again_is_guarded_again() -> None:
    cluster = Cluster(busy=1)
    (item,) = await BulkWriter(cluster, POLICY, guarded=True).write([BulkAction("gone", "a", {"n": 1})])
    assert (item.index_missing, item.attempts) == (True, 2)
    assert cluster.requests == [[("gone", "a"), ("gone", GUARD_ID)]] * 2
    assert cluster.there == set()


async def test_a_cluster_that_does_not_know_them_is_sent_none() -> None:
    cluster = Cluster()
    (item,) = await BulkWriter(cluster, POLICY).write([BulkAction("made", "a", {"n": 1})])
    assert item.written
    assert cluster.requests == [[("made", "a")]]


@pytest.mark.parametrize(
    ("version", "knows"),
    [
        ({"number": "7.9.3", "lucene_version": "8.6.2"}, False),
        ({"number": "7.10.2", "lucene_version": "8.7.0"}, True),
        ({"number": "8.15.0", "lucene_version": "9.11.1"}, True),
        ({"number": "2.0.0", "distribution": "opensearch", "lucene_version": "9.1.0"}, True),
        ({"number": "7.10.2", "distribution": "opensearch", "lucene_version": "8.10.1"}, True),
    ],
)
def test_which_clusters_know_them(version: JsonObject, knows: bool) -> None:
    assert ClusterInfo.parse({"version": version}).knows_require_alias is knows


def test_only_an_index_that_is_missing_is() -> None:
    action = BulkAction("i", "a", {})
    assert not BulkItem(action, 404, "document_missing_exception").index_missing
    assert not BulkItem(action, 403, "index_not_found_exception").index_missing
    assert BulkItem(action, 404, "index_not_found_exception").index_missing
