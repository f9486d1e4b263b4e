"""What `sidecar search` shows of a hit: every score that a stage gave, and texts as they are, cut to a line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sidecar.cli.search import SHOWN_CHARACTERS, SHOWN_TERMS, _document, _shortened, _table
from sidecar.search import SearchHit, SearchResult
from sidecar.search.passages import BestPassage
from sidecar.search.result import Contribution


def shown(*hits: SearchHit, first: tuple[str, ...] = ()) -> str:
    out = io.StringIO()
    result = SearchResult(hits, total=len(hits), profile="sparse")
    Console(file=out, width=400).print(_table(result, first))
    return out.getvalue()


def test_a_column_for_each_stage_that_gave_a_score() -> None:
    printed = shown(
        SearchHit("a", 1, {"text": "a fox"}, first_stage_score=2.0, sparse_score=1.5),
        SearchHit("b", 2, {"text": "a wolf"}, first_stage_score=1.0),
    )
    head, first, second = (" ".join(line.split()) for line in printed.splitlines())
    assert head == "sparse first stage document"
    assert first == "1 1.500 2.000 a a fox"
    assert second == "2 1.000 b a wolf", "a stage that did not see the document leaves its place empty"


def test_documents_of_one_id_are_told_apart_by_their_routing() -> None:
    hits = [
        SearchHit("a", rank, {"text": "a fox"}, "i", 1.0, routing=routing) for rank, routing in [(1, "[x]"), (2, None)]
    ]
    head, first, second = (" ".join(line.split()) for line in shown(*hits).splitlines())
    assert head == "first stage routing document"
    assert (first, second) == ("1 1.000 [x] a a fox", "2 1.000 a a fox")
    assert "routing" not in shown(hits[0], SearchHit("b", 2, {}, "i", routing="y"))


def test_a_score_of_nothing_is_a_score() -> None:
    assert "0.000" in shown(SearchHit("a", 1, {}, rerank_score=0.0))


@pytest.mark.parametrize("text", ["[bold]not bold[/bold]", "[/x] closes nothing", "a [link=https://x]y"])
def test_brackets_of_a_text_are_no_markup(text: str) -> None:
    assert text in shown(SearchHit("id[/b]", 1, {"text": text}))
    assert "id[/b]" in shown(SearchHit("id[/b]", 1, {"text": text}))


def test_terms_are_shown_by_retriever_and_the_rest_is_counted() -> None:
    why = tuple(Contribution("sparse", f"t{number}", 9.0 - number) for number in range(SHOWN_TERMS + 3))
    printed = shown(SearchHit("a", 1, {}, why=(*why, Contribution("lexical", "[fox]", 0.5))))
    assert "lexical: [fox] 0.50" in printed
    assert f"t{SHOWN_TERMS - 1} {9.0 - SHOWN_TERMS + 1:.2f}" in printed
    assert f"t{SHOWN_TERMS} " not in printed
    assert "and 3 more" in printed


def test_words_of_several_fields_say_which_one_they_are_of() -> None:
    title, text = Contribution("lexical", "fox", 2.0, "title"), Contribution("lexical", "fox", 1.0, "text")
    term = Contribution("sparse", "fox", 3.0)
    both = shown(SearchHit("a", 1, {}, why=(term, title)), SearchHit("b", 2, {}, why=(text,)))
    assert "lexical: title:fox 2.00" in both
    assert "lexical: text:fox 1.00" in both
    assert "sparse: fox 3.00" in both
    one = shown(SearchHit("a", 1, {}, why=(term, title)), SearchHit("b", 2, {}, why=(title,)))
    assert "lexical: fox 2.00" in one
    assert "title" not in one


def test_a_passage_says_where_it_begins() -> None:
    hit = SearchHit("a", 1, {"text": "x"}, passage=BestPassage("the best part", 12_345, 1.0))
    assert "from character 12,345: the best part" in shown(hit)


def test_only_texts_of_a_source_are_shown() -> None:
    source = {"title": "Fox", "price": 3, "tags": ["red"], "blank": "  ", "text": "runs"}
    assert _document(SearchHit("a", 1, source)) == "[bold]a[/]  Fox runs"


def test_the_fields_that_are_encoded_come_first() -> None:
    source = {"sku": "L-7", "text": "runs", "title": "Fox", "price": 3}
    hit = SearchHit("a", 1, source)
    assert _document(hit, ("title", "text", "subtitle", "price")) == "[bold]a[/]  Fox runs L-7"
    assert "a  Fox runs L-7" in shown(hit, first=("title", "text"))


@given(st.text())
def test_a_long_text_is_cut_to_one_line_and_says_so(text: str) -> None:
    short = _shortened(text)
    assert len(short) <= SHOWN_CHARACTERS
    assert "\n" not in short
    whole = " ".join(text.split())
    assert short == whole or (short.endswith("…") and whole.startswith(short[:-1]))


def test_half_a_character_is_shown_as_a_question_mark() -> None:
    assert "a ? wing" in shown(SearchHit("a", 1, {"text": "a \ud800 wing"}))


def test_hits_of_several_indices_say_which_one_they_are_of() -> None:
    same = [SearchHit("7", rank, {"text": "fox"}, index=f"logs-{rank}") for rank in (1, 2)]
    head, first, second = (" ".join(line.split()) for line in shown(*same).splitlines())
    assert (head, first, second) == ("index document", "1 logs-1 7 fox", "2 logs-2 7 fox")
    assert "logs-1" not in shown(same[0], same[0])
