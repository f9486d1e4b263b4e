"""Callers search what is listed, by its own name, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidInput, NotAllowed, SettingsInvalid
from sidecar.server.searching.allowed import AllowedIndices

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PLAIN = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True)


def permits(patterns: list[str], index: str) -> bool:
    try:
        AllowedIndices.of(patterns).check(index)
    except (InvalidInput, NotAllowed) as error:
        return error.field != "index"
    return True


@pytest.mark.parametrize(
    ("patterns", "index"),
    [
        (["articles"], "articles"),
        (["other", "articles"], "articles"),
        (["logs-*"], "logs-2026"),
        (["logs-*"], "logs-"),
        (["*"], "anything"),
        (["*-live-*"], "a-live-b"),
        (["Alias_Of_Mine"], "Alias_Of_Mine"),
        ([".hidden*"], ".hidden-1"),
        (["größe"], "größe"),
    ],
)
def test_what_is_listed_is_searched(patterns: list[str], index: str) -> None:
    assert permits(patterns, index)


@pytest.mark.parametrize(
    ("patterns", "index"),
    [
        (["articles"], "articles2"),
        (["articles"], "Articles"),
        (["logs-*"], "log"),
        (["logs-*"], "xlogs-1"),
        (["a.c"], "abc"),
        (["*"], ".security"),
        (["*security*"], ".security"),
    ],
)
def test_what_is_not_listed_is_not(patterns: list[str], index: str) -> None:
    assert not permits(patterns, index)


@pytest.mark.parametrize(
    "index",
    [
        *(
            "",
            " ",
            "logs-1,secret",
            "logs-*",
            "logs-?",
            "_all",
            "-logs-1",
            "+logs-1",
            "<logs-{now/d}>",
            "remote:logs-1",
        ),
        *("logs-1/_doc/1", "..", ".", "logs-1\n", "logs-1::failures", "logs-1#", "logs 1", "a" * 256, "logs-\x00"),
    ],
)
def test_what_may_stand_for_another_index_is_no_name(index: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        AllowedIndices.of(["*", "logs-*", ".*"]).check(index)
    assert index not in raised.value.message or len(index) < 2


@pytest.mark.parametrize("pattern", ["", "a,b", "a b", "_all", "-a", "a/b", "<a>", "cluster:a", "..", "a\u2028*"])
def test_a_pattern_that_matches_no_name_is_refused_at_the_start(pattern: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        AllowedIndices.of(["fine", pattern])
    assert raised.value.field == "search_indices"


def test_nobody_learns_of_an_index_that_is_not_listed() -> None:
    with pytest.raises(NotAllowed) as raised:
        AllowedIndices.of(["articles"]).check("salaries")
    assert "salaries" not in raised.value.message
    assert "articles" not in raised.value.message


@given(NAMES)
def test_whatever_is_let_through_is_one_literal_name(index: str) -> None:
    if permits(["*", ".*"], index):
        assert not re.search(r"""[\s\\/*?"<>|,:#]""", index)
        assert index[0] not in "-_+"
        assert index not in (".", "..")


@given(PLAIN, st.lists(PLAIN, max_size=4))
def test_a_list_without_wildcards_is_just_that_list(index: str, listed: list[str]) -> None:
    assert permits(listed, index) == (index in listed)


@given(PLAIN, PLAIN, PLAIN)
def test_a_wildcard_stands_for_whatever_lies_between(head: str, middle: str, tail: str) -> None:
    assert permits([f"{head}*{tail}"], f"{head}{middle}{tail}")
    assert permits([f"{head}*{tail}"], f"{head}{tail}")
