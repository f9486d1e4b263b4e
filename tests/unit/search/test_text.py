"""What is refused at the door, before anything is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.client import SidecarClient
from sidecar.cluster import SparseWriter
from sidecar.errors import EmptyText, InvalidInput, MalformedText, TextTooLarge
from sidecar.search import AsyncSearcher, Searcher
from sidecar.search.text import (
    MAX_QUERY_BYTES,
    check_body,
    check_index,
    check_page,
    check_query,
    check_timeout,
    checked_clauses,
    few_words,
    well_formed,
    words_in,
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


@pytest.mark.parametrize("timeout", ["2", True, float("nan"), [1.0]])
async def test_a_timeout_that_is_no_number_of_seconds(timeout: Any) -> None:
    engine: Any = None
    searcher = AsyncSearcher(engine, None, "lexical", index="articles")
    for search in (
        lambda: searcher.search("wolf", timeout=timeout),
        lambda: searcher.search_body({}, timeout=timeout),
        lambda: searcher.augment({}, timeout=timeout),
    ):
        with pytest.raises(InvalidInput) as raised:
            await search()
        assert raised.value.field == "timeout"


@pytest.mark.parametrize("timeout", [None, 1, 0.5, 0.0, -1.0, float("inf")])
def test_seconds(timeout: float | None) -> None:
    check_timeout(timeout)


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


def test_a_query_has_few_words() -> None:
    assert few_words("Two  words, as they came!") == "Two  words, as they came!"
    assert few_words("a b A c d", 4) == "a b c d"
    assert few_words("one two three four", 3) == "one two three"
    assert few_words("wolf, \u2014 river wolf, snow", 3) == "wolf, river snow"


@pytest.mark.parametrize(
    "many",
    [
        "a" + "\u6c34" * 1_100,
        "\U0001f43a" * 1_100,
        "\u2699\ufe0f" * 1_100,
        "\U00020000" * 1_100,
        "\uf900" * 1_100,
        "\u3005" * 1_100,
        "x" * 255 * 1_100,
    ],
    ids=["after a letter", "emoji", "emoji of two", "rare", "compatible", "repeated", "very long"],
)
def test_what_an_analyzer_makes_a_word_of_counts_as_one(many: str) -> None:
    assert words_in(many) >= 1_100
    assert words_in(few_words(many, 1_000)) == 1_000


@given(
    st.text(st.sampled_from("ab' .,!\u093f\u0928\u6c34\u3042\ud55c\u0e01\U0001f43a \n"), max_size=60),
    st.integers(1, 20),
)
def test_what_is_kept_of_a_query_is_as_it_came(text: str, limit: int) -> None:
    """Characters side by side stay so: what an analyzer makes of two of them it does not make of each."""
    kept, parts = few_words(text, limit), text.split()
    assert words_in(kept) <= limit
    if kept != text:
        *whole, last = kept.split()
        assert words_in(kept) == limit or {part.lower() for part in parts if words_in(part)} == {*kept.lower().split()}
        assert set(whole) <= set(parts)
        assert any(part.startswith(last) for part in parts)


def test_a_client_for_threads_is_none_for_the_loop_of_a_searcher_or_writer() -> None:
    client: Any = SidecarClient("127.0.0.1:1")
    try:
        for refused in (
            lambda: Searcher("http://127.0.0.1:1", client, "hybrid", index="articles"),
            lambda: SparseWriter("http://127.0.0.1:1", client, "articles"),
        ):
            with pytest.raises(InvalidInput, match="give an AsyncSidecarClient") as raised:
                refused()
            assert raised.value.field == "sidecar"
    finally:
        client.close()
