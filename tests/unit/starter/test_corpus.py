"""Which pairs are taken, what becomes a document, and what is never trained on."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.starter.corpus import build, document_text, load, save, sentences
from scripts.starter.pairs import Pair, quota, read_pairs, select
from scripts.starter.recipe import CorpusRecipe

RECIPE = CorpusRecipe(tempering=2.0, held_out_share=0.2, sentence_queries=20, title_queries=10)


def pairs(source: str, count: int) -> list[Pair]:
    return [
        Pair(
            source,
            f"question {i} of {source}",
            f"page {i // 2}",
            f"Passage {i} of {source} says six words or more here.",
        )
        for i in range(count)
    ]


def test_rows_without_query_or_passage_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "title": " T ", "passage": "p"},
        {"query": " ", "title": "", "passage": "p"},
        {"query": "q", "title": "", "passage": ""},
    ]
    with gzip.open(tmp_path / "made.jsonl.gz", "wt") as target:
        target.writelines(json.dumps(row) + "\n" for row in rows)
    assert read_pairs(tmp_path) == {"made": [Pair("made", "q", "T", "p")]}


def test_a_folder_without_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="with training pairs"):
        read_pairs(tmp_path)


def test_large_sources_are_tempered_and_weights_scale() -> None:
    assert quota(100, 1.0, 45.0) == 100
    assert quota(40_000, 1.0, 45.0) == 9_000
    assert quota(40_000, 0.25, 45.0) == 2_250


def test_selection_honours_weights_and_does_not_depend_on_other_sources() -> None:
    chosen = select({"a": pairs("a", 100), "b": pairs("b", 100)}, RECIPE, {"b": 0.5})
    assert Counter(pair.source for pair in chosen) == {"a": 20, "b": 10}
    alone = select({"b": pairs("b", 100)}, RECIPE, {"b": 0.5})
    assert {pair for pair in chosen if pair.source == "b"} == set(alone)
    assert chosen == select({"b": pairs("b", 100), "a": pairs("a", 100)}, RECIPE, {"b": 0.5})


def test_a_passage_asked_twice_is_one_document_with_two_queries() -> None:
    first, second = Pair("a", "one", "", "the passage"), Pair("a", "two", "", "the passage")
    corpus = build([first, second, first], RECIPE)
    assert [row.text for row in corpus.documents] == ["the passage"]
    assert [(row.text, row.document) for row in corpus.queries if row.kind == "asked"] == [("one", 0), ("two", 0)]


def test_pages_are_held_out_whole_and_give_no_further_queries() -> None:
    taken = pairs("a", 200)
    corpus = build(taken, RECIPE)
    by_title: dict[str, set[bool]] = {}
    for pair, document in zip(taken, corpus.documents, strict=True):
        by_title.setdefault(pair.title, set()).add(document.held_out)
    assert all(len(states) == 1 for states in by_title.values())
    assert 0 < sum(row.held_out for row in corpus.documents) < 100
    extra = [row for row in corpus.queries if row.kind != "asked"]
    assert extra
    assert not any(corpus.documents[row.document].held_out for row in extra)


def test_some_documents_lose_their_title_always_the_same_ones() -> None:
    texts = [document_text(pair, RECIPE) for pair in pairs("a", 300)]
    untitled = sum(text.startswith("Passage") for text in texts)
    assert 60 < untitled < 150
    assert texts == [document_text(pair, RECIPE) for pair in pairs("a", 300)]
    assert document_text(Pair("a", "q", "T", "p"), replace(RECIPE, untitled_share=0.0)) == "T p"


def test_sentences_are_neither_fragments_nor_paragraphs() -> None:
    assert sentences("Too short. This one has six words exactly. " + "word " * 50) == [
        "This one has six words exactly."
    ]


def test_a_saved_corpus_comes_back(tmp_path: Path) -> None:
    corpus = build(pairs("a", 20), RECIPE)
    save(corpus, tmp_path / "corpus.json.gz")
    assert load(tmp_path / "corpus.json.gz") == corpus
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.json.gz"]
