"""Values that can be computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.evaluation.measures import measure
from sidecar.evaluation.run import Ranked


def _run(**rankings: str):
    return {query: [Ranked(name, 1.0) for name in names] for query, names in rankings.items()}


def test_graded_gain_by_hand() -> None:
    """nDCG@10 with the grade as gain: (1/log2(2) + 3/log2(4)) / (3/log2(2) + 1/log2(3))."""
    found = measure(_run(q="ba"), {"q": {"a": 3, "b": 0, "c": 1}})
    assert found.means["nDCG@10"] == pytest.approx((3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert found.means["MRR@10"] == 0.5
    assert found.means["R@100"] == 0.5


def test_only_order_counts_not_tied_scores() -> None:
    judgements = {"q": {"z": 1}}
    assert measure(_run(q="za"), judgements).means["MRR@10"] == 1.0
    assert measure(_run(q="az"), judgements).means["MRR@10"] == 0.5


def test_missing_and_empty_answers_count_as_zero() -> None:
    judgements = {"q": {"a": 1}, "p": {"a": 1}, "r": {"a": 1}, "s": {"a": 1}}
    found = measure({**_run(q="a"), "p": []}, judgements)
    assert found.means == {"nDCG@10": 0.25, "MRR@10": 0.25, "R@100": 0.25}
    assert found.values("nDCG@10", ["q", "p", "r"]) == [1.0, 0.0, 0.0]


def test_a_run_without_any_answer() -> None:
    assert measure({}, {"q": {"a": 1}}).means == {"nDCG@10": 0.0, "MRR@10": 0.0, "R@100": 0.0}


def test_answers_to_unjudged_queries_are_left_out() -> None:
    assert measure(_run(q="a", other="b"), {"q": {"a": 1}}).means["nDCG@10"] == 1.0


def test_grades_below_nothing_are_nothing() -> None:
    """-1 and -2 are what TREC gives to junk and spam."""
    as_zero = measure(_run(q="bac"), {"q": {"a": 2, "b": 0, "c": 1}})
    for grade in (-1, -2, -1_000_000):
        assert measure(_run(q="bac"), {"q": {"a": 2, "b": grade, "c": 1}}) == as_zero
        assert measure(_run(q="b"), {"q": {"b": grade}}).means == {"nDCG@10": 0.0, "MRR@10": 0.0, "R@100": 0.0}


def test_cut_offs() -> None:
    names = [f"d{number}" for number in range(120)]
    run = {"q": [Ranked(name, 0.0) for name in names]}
    assert measure(run, {"q": {"d10": 1}}).means == {"nDCG@10": 0.0, "MRR@10": 0.0, "R@100": 1.0}
    assert measure(run, {"q": {"d100": 1, "d99": 1}}).means["R@100"] == 0.5


@given(order=st.permutations("abcdef"), grades=st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_against_the_definition(order, grades) -> None:
    judgements = dict(zip("abcdef", grades, strict=True))
    gains = [judgements[name] for name in order]
    ideal = sorted(grades, reverse=True)

    def dcg(values) -> float:
        return sum(value / math.log2(rank + 2) for rank, value in enumerate(values))

    expected = dcg(gains) / dcg(ideal) if any(grades) else 0.0
    assert measure(_run(q=order), {"q": judgements}).means["nDCG@10"] == pytest.approx(expected, abs=1e-6)
