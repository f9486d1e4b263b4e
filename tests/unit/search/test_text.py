"""What is refused at the door, before anything is asked."""

from __future__ import annotations

import pytest

from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge
from sidecar.search.text import MAX_QUERY_BYTES, check_body, check_page, check_query


def test_usable_input_passes() -> None:
    check_query("wolf")
    check_query("é" * (MAX_QUERY_BYTES // 2))
    check_page(10, 0)
    check_page(1, 9_999)
    check_body({"query": {}}, None)
    check_body({}, "wolf")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyText),
        (" \n", EmptyText),
        ("\ud800", MalformedText),
        ("a" * (MAX_QUERY_BYTES + 1), TextTooLarge),
        (None, InvalidInput),
        (b"wolf", InvalidInput),
        (["wolf"], InvalidInput),
    ],
)
def test_unusable_queries(text: object, error: type[InvalidInput]) -> None:
    with pytest.raises(error) as caught:
        check_query(text)
    assert caught.value.field == "text"


def test_what_is_no_text_is_named_and_not_shown() -> None:
    with pytest.raises(InvalidInput, match="not None"):
        check_query(None)
    with pytest.raises(InvalidInput, match="not list"):
        check_query(["a secret"])


@pytest.mark.parametrize(
    ("size", "from_", "field"),
    [
        ("3", 0, "size"),
        (3.0, 0, "size"),
        (True, 0, "size"),
        (None, 0, "size"),
        (0, 0, "size"),
        (10, "0", "from_"),
        (10, None, "from_"),
        (10, False, "from_"),
        (10, -1, "from_"),
        (10, 9_991, "from_"),
    ],
)
def test_unusable_pages(size: object, from_: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_page(size, from_)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("body", "text", "field"), [(None, None, "body"), ([], None, "body"), ("{}", None, "body"), ({}, 3, "text")]
)
def test_unusable_bodies(body: object, text: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_body(body, text)
    assert caught.value.field == field
