"""What an index leaves out of `_source` is told before a document is written anew from there."""

from __future__ import annotations

import pytest

from sidecar.cluster.unstored import require_stored, unstored
from sidecar.domain import JsonObject
from sidecar.errors import InvalidInput


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"enabled": True},
        {"enabled": "true"},
        {"excludes": []},
        {"includes": []},
        {"includes": ["*"]},
        {"excludes": ["splade"]},
        {"excludes": ["splade.*"]},
        {"excludes": ["splade.vector", "splade"]},
    ],
)
def test_a_document_that_is_there_or_is_brought_anew_is_not_lost(source: JsonObject) -> None:
    assert unstored({"_source": source}, ("splade",)) is None
    require_stored("shop", {"_source": source}, ("splade",))
    require_stored("shop", {}, ())


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ({"enabled": False}, "everything"),
        ({"enabled": "false"}, "everything"),
        ({"excludes": ["notes", "splade"]}, "leaves notes out"),
        ({"excludes": "notes"}, "leaves notes out"),
        ({"excludes": ["splade_hash"]}, "splade_hash"),
        ({"excludes": ["splade*"]}, r"splade\*"),
        ({"excludes": ["*.raw", "a.b"]}, r"\*\.raw, a\.b"),
        ({"includes": ["title", "splade"]}, "all but title, splade"),
    ],
)
def test_what_would_be_lost_is_named(source: JsonObject, lost: str) -> None:
    with pytest.raises(InvalidInput, match=lost) as caught:
        require_stored("shop", {"_source": source}, ("splade",))
    assert caught.value.field == "index"


def test_a_field_of_another_model_is_lost_like_any_other() -> None:
    assert unstored({"_source": {"excludes": ["splade"]}}, ("splade_12345678",)) == "splade"
