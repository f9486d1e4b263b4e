"""Which fields an answer shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.server.searching.shown import shown_source

SOURCE = {
    "title": "t",
    "text": "x",
    "author": {"name": "n", "address": {"city": "c", "zip": "z"}},
    "parts": [{"name": "p1", "size": 1}, {"name": "p2", "size": 2}, "loose"],
    "a.b": 3,
}

NAMES = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
)
SOURCES = st.dictionaries(NAMES, VALUES, max_size=4)
SHOWN = st.lists(st.text("abc.*", min_size=1, max_size=5), max_size=3)


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        (None, SOURCE),
        ([], {}),
        (["title"], {"title": "t"}),
        (["t*"], {"title": "t", "text": "x"}),
        (["author"], {"author": SOURCE["author"]}),
        (["author.name"], {"author": {"name": "n"}}),
        (["author.*.city"], {"author": {"address": {"city": "c"}}}),
        (["*.city"], {"author": {"address": {"city": "c"}}}),
        (["parts.name"], {"parts": [{"name": "p1"}, {"name": "p2"}]}),
        (["a.b"], {"a.b": 3}),
        (["nothing", "author.nothing"], {}),
        (["titl"], {}),
        (["t.tle"], {}),
    ],
)
def test_fields_by_their_paths(show: list[str] | None, expected: dict[str, object]) -> None:
    assert shown_source(SOURCE, show) == expected


@given(SOURCES)
def test_a_wildcard_alone_shows_all(source: dict[str, object]) -> None:
    assert shown_source(source, ["*"]) == source


@given(SOURCES, SHOWN)
def test_showing_twice_is_showing_once(source: dict[str, object], show: list[str]) -> None:
    once = shown_source(source, show)
    assert shown_source(once, show) == once


@given(SOURCES, SHOWN, SHOWN)
def test_whoever_asks_for_more_sees_no_less(source: dict[str, object], show: list[str], more: list[str]) -> None:
    assert leaves(shown_source(source, show)) <= leaves(shown_source(source, show + more)) <= leaves(source)


def leaves(value: object, path: str = "") -> set[tuple[str, str]]:
    """The plain values with their paths, places in lists left out."""
    if isinstance(value, dict):
        return {leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}")}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in leaves(inner, path)}
    return {(path, repr(value))}
