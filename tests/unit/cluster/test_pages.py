"""Pages of a scan hold fewer documents where those are long."""

from __future__ import annotations

import pytest

from sidecar.cluster.reconcile.pace import Limits
from sidecar.cluster.reconcile.pages import PAGE_BYTES, PageSize
from sidecar.cluster.reconcile.summary import ReconcileOptions
from sidecar.domain import JsonValue
from sidecar.engine import StoredDocument

LONG = "x" * (PAGE_BYTES // 10)


def page(text: JsonValue, count: int = 4) -> list[StoredDocument]:
    return [StoredDocument("i", str(number), number, 1, {"text": text, "n": number}) for number in range(count)]


@pytest.mark.parametrize("text", [LONG, [LONG[: len(LONG) // 2]] * 2, [[LONG]]], ids=["one", "several", "nested"])
def test_long_documents_make_small_pages(text: JsonValue) -> None:
    size = PageSize(ReconcileOptions(page_documents=500))
    assert size() == 500
    for _ in range(20):
        size.learn(page(text))
    assert size() == 10


@pytest.mark.parametrize("text", ["short", None, 7, {"text": "of an object"}, []])
def test_short_ones_make_large_pages(text: JsonValue) -> None:
    size = PageSize(ReconcileOptions(page_documents=500))
    size.learn(page(text))
    size.learn([])
    assert size() == 500


def test_a_document_larger_than_a_page_is_a_page() -> None:
    size = PageSize(ReconcileOptions(page_documents=500))
    for _ in range(20):
        size.learn(page(LONG * 20, 1))
    assert size() == 1


def test_at_a_low_rate_a_page_is_a_minutes_work() -> None:
    assert PageSize(ReconcileOptions(page_documents=500, limits=Limits(rate=2.0)))() == 120
