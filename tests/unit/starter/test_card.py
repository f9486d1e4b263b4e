"""Cards say where the training text came from, and only what was measured."""

import pytest

from scripts.starter.card import describe_source, figure_table, reranker_card, source_table, sparse_card

COLUMNS = ("bm25", "sparse", "hybrid", "terms", "bm25_reranked", "hybrid_reranked")
FIGURES = {
    "med/test": dict(zip(COLUMNS, (0.69, 0.5, 0.7, 120.4, 0.7, 0.71), strict=True)),
    "time/test": dict(zip(COLUMNS, (0.71, 0.6, 0.8, 200.0, 0.7, 0.81), strict=True)),
}


def test_sources_are_counted_together_with_their_licence() -> None:
    table = source_table(["se_ai", "se_beer", "medquad", "se_ai"])
    assert "| MedQuAD | CC BY 4.0 | 1 |" in table
    assert "| Stack Exchange sites | CC BY-SA | 3 |" in table


def test_a_source_that_nobody_described_is_refused() -> None:
    with pytest.raises(ValueError, match="describe the source 'unknown'"):
        describe_source("unknown")


def test_the_mean_stands_below_the_collections() -> None:
    table = figure_table(FIGURES, {"sparse": "sparse", "terms": "terms"}).splitlines()
    assert table[2] == "| med/test | .500 | 120 |"
    assert table[-1] == "| mean | .550 | 160 |"


@pytest.mark.parametrize("card", [sparse_card, reranker_card])
def test_cards_name_licence_training_and_scores(card) -> None:
    text = card("a-bundle", ["medquad"], "800 steps.", FIGURES)
    for wanted in ("# a-bundle", "Apache-2.0", "800 steps.", "MedQuAD", "| mean |", "## Limits"):
        assert wanted in text
