"""Bulk actions as value objects, and the laws of chunking."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine import BulkAction, BulkItem, BulkOperation, BulkPolicy
from sidecar.engine.access import Access
from sidecar.engine.bulk_writer import BulkWriter, _Prepared
from sidecar.engine.transport import Transport
from sidecar.errors import InvalidInput, MalformedText

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_an_action_is_two_lines() -> None:
    lines = BulkAction("i", "1", {"text": "a\nb"}).lines().splitlines()
    assert [orjson.loads(line) for line in lines] == [{"index": {"_index": "i", "_id": "1"}}, {"text": "a\nb"}]


def test_a_conditional_action_says_so() -> None:
    action = BulkAction("i", "1", {}, routing="r", if_seq_no=7, if_primary_term=2)
    head = orjson.loads(action.lines().splitlines()[0])["index"]
    assert head == {"_index": "i", "_id": "1", "routing": "r", "if_seq_no": 7, "if_primary_term": 2}


def test_a_deletion_is_one_line() -> None:
    assert len(BulkAction("i", "1", operation=BulkOperation.DELETE).lines().splitlines()) == 1


@pytest.mark.parametrize("identifier", ["", "x" * 513, "ä" * 257, 7, None])
def test_an_id_the_cluster_would_refuse(identifier: Any) -> None:
    with pytest.raises(InvalidInput):
        BulkAction("i", identifier, {})


def test_a_document_is_given_unless_it_is_deleted() -> None:
    with pytest.raises(InvalidInput):
        BulkAction("i", "1")
    with pytest.raises(InvalidInput):
        BulkAction("i", "1", {}, BulkOperation.DELETE)


def test_lone_surrogates_in_a_document() -> None:
    with pytest.raises(MalformedText):
        BulkAction("i", "1", {"text": "\udc80"}).lines()


@pytest.mark.parametrize(
    ("operation", "status", "written"),
    [
        (BulkOperation.INDEX, 200, True),
        (BulkOperation.INDEX, 201, True),
        (BulkOperation.INDEX, 409, False),
        (BulkOperation.INDEX, 404, False),
        (BulkOperation.INDEX, 0, False),
        (BulkOperation.DELETE, 200, True),
        (BulkOperation.DELETE, 404, True),
        (BulkOperation.DELETE, 429, False),
    ],
)
def test_what_counts_as_written(operation: BulkOperation, status: int, written: bool) -> None:
    document = None if operation is BulkOperation.DELETE else {}
    assert BulkItem(BulkAction("i", "1", document, operation), status).written is written


def test_no_index_to_delete_from_is_nothing_deleted() -> None:
    action = BulkAction("i", "1", operation=BulkOperation.DELETE)
    assert not BulkItem(action, 404, "index_not_found_exception", "no such index [i]").written


@given(st.lists(ids, max_size=60), st.integers(1, 8), st.integers(50, 400))
async def test_chunks_keep_order_sizes_and_one_write_per_document(names: list[str], items: int, size: int) -> None:
    writer = BulkWriter(Transport(Access("http://127.0.0.1:9")), BulkPolicy(max_items=items, max_bytes=size))
    prepared = []
    for place, name in enumerate(names):
        action = BulkAction("i", name, {"n": place})
        prepared.append(_Prepared(place, action, action.lines()))
    chunks = list(writer._chunks(prepared))
    assert [item for chunk in chunks for item in chunk] == prepared
    for chunk in chunks:
        assert 1 <= len(chunk) <= items
        assert len(chunk) == 1 or sum(len(item.lines) for item in chunk) <= size
        assert len({item.action.id for item in chunk}) == len(chunk)
