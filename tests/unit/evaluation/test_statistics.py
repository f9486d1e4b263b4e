"""Significance, FLOPS, percentiles."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import EvaluationError
from sidecar.evaluation.significance import Comparison, compare, corrected
from sidecar.evaluation.statistics import VectorCounts, flops, latency

values = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8)


@given(pairs=values)
def test_swapping_the_systems_mirrors_the_comparison(pairs) -> None:
    system, baseline = [a for a, _ in pairs], [b for _, b in pairs]
    one, other = compare(system, baseline, rounds=500), compare(baseline, system, rounds=500)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.wins, one.losses, one.p_value) == (other.losses, other.wins, other.p_value)
    assert 0.0 < one.p_value <= 1.0


def test_the_p_value_is_that_of_all_sign_assignments() -> None:
    differences = [0.3, 0.1, -0.2, 0.4, 0.05, 0.25, -0.1, 0.2]
    observed = abs(sum(differences))
    extreme = sum(
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True))) >= observed - 1e-12
        for signs in product((1, -1), repeat=len(differences))
    )
    found = compare(differences, [0.0] * len(differences), rounds=40_000)
    assert found.p_value == pytest.approx(extreme / 2 ** len(differences), abs=0.01)
    assert (found.wins, found.ties, found.losses) == (6, 0, 2)


def test_the_same_system_twice_is_no_difference() -> None:
    found = compare([0.5, 0.25], [0.5, 0.25])
    assert (found.difference, found.p_value, found.wins, found.ties, found.losses) == (0.0, 1.0, 0, 2, 0)


def test_a_clear_difference_is_significant() -> None:
    assert compare([0.9] * 40, [0.1] * 40).p_value < 0.001


def _of(p_value: float) -> Comparison:
    return Comparison(0.1, p_value, p_value, 3, 1, 2)


def test_holms_correction_by_hand() -> None:
    """0.01 · 4, then 0.02 · 3, then 0.03 · 2 = 0.06 again, then 0.9 · 1."""
    found = corrected({"c": _of(0.03), "a": _of(0.01), "d": _of(0.9), "b": _of(0.02)})
    assert list(found) == ["c", "a", "d", "b"]
    assert {name: one.p_corrected for name, one in found.items()} == pytest.approx(
        {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.9}
    )
    assert {name: one.p_value for name, one in found.items()} == {"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.9}
    assert corrected({}) == {}


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=8))
def test_a_correction_never_helps_and_keeps_the_order(p_values) -> None:
    found = list(corrected({str(n): _of(p) for n, p in enumerate(p_values)}).values())
    assert all(one.p_value <= one.p_corrected <= 1.0 for one in found)
    ordered = sorted(found, key=lambda one: one.p_value)
    assert [one.p_corrected for one in ordered] == sorted(one.p_corrected for one in found)
    if len(p_values) == 1:
        assert found[0].p_corrected == found[0].p_value


def test_only_paired_values_are_compared() -> None:
    with pytest.raises(EvaluationError):
        compare([1.0], [1.0, 2.0])
    with pytest.raises(EvaluationError):
        compare([], [])


def test_flops_by_hand() -> None:
    queries, documents = VectorCounts(), VectorCounts()
    for terms in (["a", "b"], ["a"]):
        queries.add(terms)
    for terms in (["a", "c"], ["b"], ["a", "b", "c"], []):
        documents.add(terms)
    assert flops(queries, documents) == pytest.approx(1.0 * 0.5 + 0.5 * 0.5)
    assert (queries.mean_terms, documents.mean_terms) == (1.5, 1.5)


@given(
    queries=st.lists(st.lists(st.sampled_from("abcd"), unique=True), max_size=6),
    documents=st.lists(st.lists(st.sampled_from("abcd"), unique=True), max_size=6),
)
def test_flops_is_the_mean_overlap_of_all_pairs(queries, documents) -> None:
    one, other = VectorCounts(), VectorCounts()
    for terms in queries:
        one.add(terms)
    for terms in documents:
        other.add(terms)
    pairs = [len(set(a) & set(b)) for a in queries for b in documents]
    assert flops(one, other) == pytest.approx(sum(pairs) / len(pairs) if pairs else 0.0)


def test_a_document_of_passages_counts_once_with_all_its_vectors() -> None:
    queries, documents = VectorCounts(), VectorCounts()
    queries.add(["a", "b"])
    documents.add(["a", "c"], ["a"], ["b", "c"])
    documents.add(["a"])
    assert (documents.texts, documents.vectors) == (2, 4)
    assert (documents.mean_vectors, documents.mean_terms) == (2.0, 3.0)
    assert flops(queries, documents) == pytest.approx((3 + 1) / 2)
    assert VectorCounts().mean_vectors == VectorCounts().mean_terms == 0.0


def test_percentiles() -> None:
    found = latency([float(number) for number in range(101)])
    assert (found.mean, found.p50, found.p90, found.p99) == (50.0, 50.0, 90.0, 99.0)
    assert latency([]).p99 == 0.0
