"""Cutting a text into passages: nothing is lost, overlaps are as asked, and what is cut off is told."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.cluster.encoding import refusal
from sidecar.cluster.passages import WORD_CHARACTERS, split
from sidecar.domain import WindowPolicy, Windows
from sidecar.engine import PassageRule
from sidecar.errors import InvalidInput, TextTooLarge, TextTooLong

SMALL, ENOUGH = st.integers(1, 12), st.just(1_000)
UNSPACED = "搜索引擎のひらがな"


@st.composite
def rules(draw: st.DrawFn, limits: st.SearchStrategy[int] = SMALL) -> PassageRule:
    words = draw(st.integers(1, 9))
    return PassageRule(words, draw(st.integers(1, words)), draw(limits))


texts = st.one_of(
    st.text(max_size=200),
    st.text(alphabet=st.sampled_from(f"ab \n\t\u2003{UNSPACED}"), max_size=200),
    st.lists(st.text(alphabet="abcxyz.,", min_size=1, max_size=90), max_size=40).map(" ".join),
)


def bare(text: str) -> str:
    return "".join(text.split())


@given(texts, rules(ENOUGH))
@example("", PassageRule())
@example(" \n ", PassageRule())
@example("one", PassageRule(1, 1, 1))
def test_nothing_of_a_text_is_lost(text: str, rule: PassageRule) -> None:
    found = split(text, rule)
    assert not found.truncated
    covered = [False] * len(text)
    for passage in found.passages:
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        covered[passage.start : passage.start + len(passage.text)] = [True] * len(passage.text)
    assert bare("".join(sign for sign, there in zip(text, covered, strict=True) if not there)) == ""
    assert bool(found.passages) == bool(text.strip())


@given(texts, rules())
def test_a_bound_cuts_behind_and_says_so(text: str, rule: PassageRule) -> None:
    bounded, whole = split(text, rule), split(text, PassageRule(rule.words, rule.stride, 1_000))
    assert bounded.passages == whole.passages[: rule.limit]
    assert bounded.truncated == (len(whole.passages) > rule.limit)


@given(st.integers(0, 120), rules(ENOUGH))
def test_passages_overlap_as_asked(count: int, rule: PassageRule) -> None:
    words = [f"w{number}" for number in range(count)]
    passages = [passage.text.split() for passage in split(" ".join(words), rule).passages]
    for number, passage in enumerate(passages):
        start = number * rule.stride
        assert passage == words[start : start + rule.words]
        if number + 1 < len(passages):
            assert len(passage) == rule.words
            assert passage[-1] != words[-1], "a passage behind the last word would say nothing new"


@given(texts, rules())
def test_no_passage_is_longer_than_its_words_may_be(text: str, rule: PassageRule) -> None:
    for passage in split(text, rule).passages:
        assert passage.text == passage.text.strip()
        assert len(bare(passage.text)) <= rule.words * WORD_CHARACTERS


def test_scripts_without_spaces_and_endless_words_are_cut_too() -> None:
    assert [one.text for one in split("搜索引擎 a", PassageRule(2, 2, 9)).passages] == ["搜索", "引擎", "a"]
    assert len(split("x" * (WORD_CHARACTERS * 10), PassageRule(2, 2, 9)).passages) == 5


@pytest.mark.parametrize(("words", "stride", "limit"), [(0, 1, 1), (5, 0, 1), (5, 6, 1), (5, 5, 0), (5, 5, 1_001)])
def test_rules_that_would_lose_text_are_refused(words: int, stride: int, limit: int) -> None:
    with pytest.raises(InvalidInput, match="passage"):
        PassageRule(words, stride, limit)


def test_a_text_of_too_many_passages_is_refused_only_where_cutting_is() -> None:
    rule, text = PassageRule(2, 2, 2), "one two three four five"
    refuse, truncate = Windows(WindowPolicy.REFUSE), Windows(WindowPolicy.TRUNCATE)
    assert isinstance(refusal(text, rule, refuse, 100), TextTooLong)
    assert refusal(text, rule, truncate, 100) is None
    assert refusal("one two three four", rule, refuse, 100) is None
    assert refusal(text, None, refuse, 100) is None
    assert isinstance(refusal(text, rule, truncate, 10), TextTooLarge)
