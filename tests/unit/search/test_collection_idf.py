"""Blending the bundle's IDF with the index's."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sidecar.domain import Encoding, SparseVector
from sidecar.engine import CollectionFrequencies
from sidecar.search.collection_idf import adapted

TABLE = CollectionFrequencies.of(
    {1: 90, 2: 3}, fingerprint="a" * 64, documents=100, sampled=100, refreshed="2026-01-01T00:00:00+00:00"
)
VECTOR = SparseVector((1, 2, 3), (6.0, 4.0, 2.0), ("fibrosis", "sweat", "sodium"))


def test_a_share_of_nothing_changes_nothing():
    assert adapted(Encoding(VECTOR), TABLE, 0.0) == VECTOR


def test_the_whole_share_is_the_index_alone():
    found = adapted(Encoding(VECTOR), TABLE, 1.0)
    assert found.terms == ("sodium", "sweat", "fibrosis")
    assert dict(found) == pytest.approx({term_id: TABLE.idf(term_id) for term_id in (1, 2, 3)})


def test_what_every_document_has_falls_behind():
    found = adapted(Encoding(VECTOR), TABLE, 0.5)
    assert found.terms == ("sweat", "sodium", "fibrosis")
    assert found.by_term()["sweat"] == pytest.approx((4.0 * TABLE.idf(2)) ** 0.5)


def test_a_vector_without_terms_stays_without():
    assert adapted(Encoding(SparseVector((1, 2), (6.0, 4.0))), TABLE, 0.5).terms == ()


@given(
    st.dictionaries(st.integers(0, 9), st.floats(0.0625, 60.0, width=32), max_size=10), st.floats(0.0, 1.0, width=32)
)
def test_terms_stay_and_descend(weights, share):
    order = sorted(weights, key=lambda term_id: (-weights[term_id], term_id))
    vector = SparseVector(tuple(order), tuple(weights[term_id] for term_id in order))
    found = adapted(Encoding(vector), TABLE, share)
    assert sorted(found.term_ids) == sorted(weights)
    assert list(found.weights) == sorted(found.weights, reverse=True)
    assert all(0 < weight <= max(60.0, TABLE.idf(9)) for weight in found.weights)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_repetition_is_no_rarity(share):
    """A query that repeats a term has it weigh as many times more after the blend as before it."""
    once = adapted(Encoding(VECTOR), TABLE, share)
    twice = SparseVector(VECTOR.term_ids, tuple(2.0 * weight for weight in VECTOR.weights), VECTOR.terms)
    found = adapted(Encoding(twice, repetition=(2.0, 2.0, 2.0)), TABLE, share)
    assert found.by_term() == pytest.approx({term: 2.0 * weight for term, weight in once.by_term().items()})


def test_only_what_is_repeated_gains():
    repeated = SparseVector((2, 1, 3), (8.0, 6.0, 2.0), ("sweat", "fibrosis", "sodium"))
    found = adapted(Encoding(repeated, repetition=(2.0, 1.0, 1.0)), TABLE, 0.7).by_term()
    plain = adapted(Encoding(VECTOR), TABLE, 0.7).by_term()
    assert found == pytest.approx({**plain, "sweat": 2.0 * plain["sweat"]})
