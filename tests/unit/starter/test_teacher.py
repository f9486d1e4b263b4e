"""The teacher's two halves, IDF, and the batches and candidate lists that are scored."""

from pathlib import Path

import numpy as np
import pytest

from scripts.starter.candidates import Candidates, draw, mine
from scripts.starter.idf import Frequencies, inverse_document_frequencies
from scripts.starter.lexical import LexicalTeacher
from scripts.starter.recipe import TeacherRecipe
from scripts.starter.teacher import standardise
from tests.unit.starter.conftest import RECIPE, Miniature


def test_idf_sends_what_is_everywhere_to_nothing_and_caps_the_unknown() -> None:
    weights = inverse_document_frequencies(np.asarray([1000, 500, 10, 1, 0]), 1000)
    assert weights[0] < 0.001
    assert (weights >= 0).all()
    assert list(weights) == sorted(weights)
    known_once, unknown = inverse_document_frequencies(np.asarray([0, 1]), 100_000)[::-1]
    assert known_once < unknown < 1.1 * known_once


def test_document_frequency_counts_texts_not_occurrences(miniature: Miniature) -> None:
    texts = [row.text for row in miniature.corpus.documents]
    counted = Frequencies.count(texts, miniature.tokenizer)
    piece = miniature.tokenizer.token_to_id("the")
    assert counted.tokens[piece] == sum("the" in text.split() for text in texts)
    assert counted.tokens[miniature.tokenizer.token_to_id("[PAD]")] == 0


def test_frequencies_of_folded_terms(tmp_path: Path, miniature: Miniature) -> None:
    """A text with both forms of a word has the term once; what was counted is kept."""
    texts = ["wing wings drag", "wings", "the of", "drag drag"]
    counted = Frequencies.kept(tmp_path / "f.npz", lambda: Frequencies.count(texts, miniature.tokenizer))
    again = Frequencies.kept(tmp_path / "f.npz", lambda: pytest.fail("counted twice"))
    for found in (counted, again):
        terms = dict(zip(miniature.folding.columns.tolist(), found.terms(miniature.folding).tolist(), strict=True))
        names = {miniature.tokenizer.id_to_token(term): count for term, count in terms.items() if count}
        assert names == {names_of(miniature, "wing"): 2, "drag": 2}
        assert found.documents == 4


def names_of(miniature: Miniature, word: str) -> str:
    piece = miniature.tokenizer.token_to_id(word)
    return str(miniature.tokenizer.id_to_token(int(miniature.folding.canonical[piece])))


def test_bm25_matches_the_formula_by_hand() -> None:
    recipe = TeacherRecipe(k1=1.2, b=0.75)
    teacher = LexicalTeacher.count(["a a b", "b c", "c"], ["a", "b unknown", "a a"], str.split, recipe)
    scores = teacher.scores(np.arange(3), np.arange(3))
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2))
    assert scores[0] == pytest.approx([expected, 0, 0], rel=1e-5)
    assert scores[2] == pytest.approx(2 * scores[0], rel=1e-5)
    assert scores[1, 2] == 0
    assert scores[1, 1] > scores[1, 0] > 0


def test_a_list_without_differences_is_not_blown_up() -> None:
    flat = np.asarray([[0.50, 0.51, 0.50]], dtype=np.float32)
    assert np.abs(standardise(flat, floor=0.06)).max() < 0.2
    clear = standardise(np.asarray([[0.0, 1.0]], dtype=np.float32), floor=0.06)
    assert clear.tolist() == [[-1.0, 1.0]]


def test_the_label_scores_above_the_same_text_without_it(miniature: Miniature) -> None:
    labels = miniature.teacher.labels.copy()
    try:
        with_label = miniature.teacher.scores(np.asarray([0]), np.arange(6))
        miniature.teacher.labels[0] = 50
        without = miniature.teacher.scores(np.asarray([0]), np.arange(6))
    finally:
        miniature.teacher.labels[:] = labels
    assert with_label[0, 0] - without[0, 0] == pytest.approx(TeacherRecipe().label_bonus)
    assert with_label[0, 1:] == pytest.approx(without[0, 1:])


def test_batches_depend_on_seed_and_step_only(miniature: Miniature) -> None:
    first, again = miniature.batcher(), miniature.batcher()
    for step in (4, 0, 4):
        one, other = first.batch(step, 8, 12), again.batch(step, 8, 12)
        assert one.documents.tolist() == other.documents.tolist()
        assert one.queries.tolist() == other.queries.tolist()
    assert first.batch(1, 8, 12).documents.tolist() != first.batch(2, 8, 12).documents.tolist()


def test_batches_hold_distinct_trained_documents_and_their_own_queries(miniature: Miniature) -> None:
    for step in range(20):
        batch = miniature.batcher().batch(step, 8, 12)
        assert len(set(batch.documents.tolist())) == 8
        assert len(set(batch.queries.tolist())) == len(batch.queries) <= 12
        assert not any(miniature.corpus.documents[row].held_out for row in batch.documents)
        assert not any(miniature.corpus.documents[miniature.corpus.queries[q].document].held_out for q in batch.queries)
        assert set(batch.documents.tolist()) <= {miniature.corpus.queries[q].document for q in batch.queries}


def test_long_batches_take_long_documents_only(miniature: Miniature) -> None:
    batch = miniature.batcher().batch(2, 4, 8, long=True)
    assert (miniature.documents.lengths[batch.documents] >= RECIPE.max_tokens).all()


def test_candidate_lists_start_with_the_label_and_never_hold_it_twice(miniature: Miniature, tmp_path: Path) -> None:
    allowed = np.asarray([not row.held_out for row in miniature.corpus.documents])
    rows, teacher = np.flatnonzero(allowed), miniature.teacher

    def mined_again(queries: np.ndarray) -> Candidates:
        return mine(
            tmp_path / "c.npz",
            queries,
            rows,
            teacher.labels[queries],
            lambda some: teacher.scores(some, rows),
            lambda some: teacher.lexical.scores(some, rows),
            lambda _: None,
        )

    mined = mined_again(rows)
    assert (mined_again(np.zeros(0, np.int64)).near == mined.near).all(), "kept, not computed again"
    random = np.random.default_rng(1)
    for row, query in enumerate(mined.queries):
        label = int(teacher.labels[query])
        assert label not in mined.near[row]
        assert label not in mined.traps[row]
        drawn = draw(mined, row, label, 7, random)
        assert drawn[0] == label
        assert len(set(drawn.tolist())) == 7
        assert allowed[drawn].all()


def test_questions_that_bm25_gets_wrong_come_first() -> None:
    rank = np.asarray([1, 1, 5, 1, 2])
    many = Candidates(np.arange(5), np.arange(9), np.zeros((5, 1), int), np.zeros((5, 1), int), rank)
    chosen = many.hardest_first(3, np.random.default_rng(0))
    assert sorted(chosen.lexical_rank[:2].tolist()) == [2, 5]
    assert chosen.lexical_rank[2] == 1
    assert (many.lexical_rank[chosen.queries] == chosen.lexical_rank).all()
