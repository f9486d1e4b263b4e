"""Cards say where the training text came from, and only what was measured."""

from dataclasses import replace

import pytest

from scripts.starter.card import neural_card, reranker_card, sparse_card
from scripts.starter.measured import Measured
from scripts.starter.sources import describe_source, source_table
from scripts.starter.tables import across
from scripts.starter.variants import ANALYSED, SHIPPED

CURVE = [
    {"step": 20 * place, "divergence": 1 / place, "terms": 130.0, "floor": 0.6, "label first": 0.5}
    for place in range(1, 21)
]
VARIANTS = {ANALYSED: 0.4, SHIPPED: 0.5, "neural queries": 0.45}
MEASURED = Measured(
    collections={"med/test": VARIANTS, "time/test": VARIANTS | {SHIPPED: 0.7}, "nfcorpus/dev": VARIANTS},
    slices={"padded": VARIANTS},
    terms={"med/test": 120.4},
    flops={"med/test": 1.234},
    calibration={"pairs": 1600, "error before": 0.2, "error after": 0.02, "label first": 0.61},
)


def test_sources_are_counted_together_with_their_licence() -> None:
    table = source_table(["se_ai", "se_beer", "medquad", "se_ai"])
    assert "| MedQuAD | CC BY 4.0 | 1 |" in table
    assert "| Stack Exchange sites | CC BY-SA | 3 |" in table


def test_a_source_that_nobody_described_is_refused() -> None:
    with pytest.raises(ValueError, match="describe the source 'unknown'"):
        describe_source("unknown")


def test_the_mean_is_that_of_the_tests_alone() -> None:
    table = across(MEASURED.collections, mean_of=["med/test", "time/test"]).splitlines()
    assert table[0] == "| | med/test | time/test | nfcorpus/dev | mean of the tests |"
    assert table[3] == f"| **{SHIPPED}** | .500 | .700 | .500 | .600 |"


def test_the_encoders_card() -> None:
    text = sparse_card("a-bundle", ["medquad"], CURVE, MEASURED)
    for wanted in (
        "# a-bundle",
        "Apache-2.0",
        "400 steps",
        "MedQuAD",
        "mean of the tests",
        "| 120 |",
        "| 1.23 |",
        "## Limits",
    ):
        assert wanted in text
    assert text.count("Not measured for this build.") == 3


def test_what_opensearch_gave_is_shown_where_it_was_measured() -> None:
    """The second stage may be measured on fewer collections than the first."""
    profiles = {"med": {"sparse": 0.75, "hybrid+rerank": 0.8}, "time": {"sparse": 0.25}}
    found = replace(MEASURED, profiles=profiles)
    encoder = sparse_card("a-bundle", ["medquad"], CURVE, found)
    assert "| sparse | .750 | .250 | .500 |" in encoder
    assert "hybrid+rerank |" not in encoder
    assert "| hybrid+rerank | .800 | .800 |" in reranker_card("a-bundle", ["medquad"], CURVE, found)


def test_the_rerankers_card() -> None:
    text = reranker_card("a-bundle", ["medquad"], CURVE, MEASURED)
    for wanted in ("400 steps", "0.020 (0.200 before scaling)", "3,200 pairs", "61%", "label first of 8"):
        assert wanted in text


def test_both_cards_show_what_int8_costs() -> None:
    found = replace(
        MEASURED,
        quantization={"med/test": {"int8": 0.7, "fp32": 0.71}},
        reranked={"med/test": {"int8": 0.8, "fp32": 0.81}},
    )
    encoder = sparse_card("a-bundle", ["medquad"], CURVE, found)
    reranker = reranker_card("a-bundle", ["medquad"], CURVE, found)
    assert "| int8 | .700 |\n| fp32 | .710 |" in encoder
    assert "| int8 | .800 |\n| fp32 | .810 |" in reranker
    assert "Not measured" in reranker_card("a-bundle", ["medquad"], CURVE, MEASURED).split("## fp32 against int8")[1]


def test_the_neural_card_compares_both_kinds_of_queries() -> None:
    text = neural_card("a-bundle", MEASURED)
    assert "| inference-free queries | .500 | .700 | .500 | .600 |" in text
    assert "| neural queries | .450 | .450 | .450 | .450 |" in text
