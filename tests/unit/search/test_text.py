"""What is refused at the door, before anything is asked."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.client import SidecarClient
from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge
from sidecar.search import Searcher
from sidecar.search.text import (
    MAX_QUERY_BYTES,
    check_body,
    check_index,
    check_page,
    check_query,
    checked_clauses,
    well_formed,
)


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


@pytest.mark.parametrize("index", ["", "  ", None])
def test_no_index_is_not_all_indices(index: object) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_index(index)
    assert raised.value.field == "index"
    check_index("articles")


@pytest.mark.parametrize("filter_", ["kind:report", ["kind:report"], 7, {"kind"}, [{"term": {"a": 1}}, "b"], [None]])
def test_a_filter_that_is_no_clause(filter_: object) -> None:
    with pytest.raises(InvalidInput) as raised:
        checked_clauses(filter_)
    assert raised.value.field == "filter"


def test_one_clause_or_several() -> None:
    one, other = {"term": {"a": 1}}, {"term": {"b": 2}}
    assert checked_clauses(None) == ()
    assert checked_clauses(one) == (one,)
    assert checked_clauses([one, other]) == (one, other)


def test_only_half_characters_are_replaced() -> None:
    assert well_formed("whole ä 漢 🦊") == "whole ä 漢 🦊"
    assert well_formed("a \ud800 b \udfff") == "a ? b ?"


def test_a_client_for_threads_is_none_for_a_searchers_loop() -> None:
    client: Any = SidecarClient("127.0.0.1:1")
    try:
        with pytest.raises(InvalidInput, match="give an AsyncSidecarClient") as raised:
            Searcher("http://127.0.0.1:1", client, "hybrid", index="articles")
    finally:
        client.close()
    assert raised.value.field == "sidecar"
