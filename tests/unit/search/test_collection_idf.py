"""Blending the bundle's IDF with the index's."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sidecar.domain import SparseVector
from sidecar.engine import CollectionFrequencies
from sidecar.search.collection_idf import adapted

TABLE = CollectionFrequencies.of(
    {1: 90, 2: 3}, fingerprint="a" * 64, documents=100, sampled=100, refreshed="2026-01-01T00:00:00+00:00"
)
VECTOR = SparseVector((1, 2, 3), (6.0, 4.0, 2.0), ("fibrosis", "sweat", "sodium"))


def test_a_share_of_nothing_changes_nothing():
    assert adapted(VECTOR, TABLE, 0.0) == VECTOR


def test_the_whole_share_is_the_index_alone():
    found = adapted(VECTOR, TABLE, 1.0)
    assert found.terms == ("sodium", "sweat", "fibrosis")
    assert dict(found) == pytest.approx({term_id: TABLE.idf(term_id) for term_id in (1, 2, 3)})


def test_what_every_document_has_falls_behind():
    found = adapted(VECTOR, TABLE, 0.5)
    assert found.terms == ("sweat", "sodium", "fibrosis")
    assert found.by_term()["sweat"] == pytest.approx((4.0 * TABLE.idf(2)) ** 0.5)


def test_a_vector_without_terms_stays_without():
    assert adapted(SparseVector((1, 2), (6.0, 4.0)), TABLE, 0.5).terms == ()


@given(
    st.dictionaries(st.integers(0, 9), st.floats(0.0625, 60.0, width=32), max_size=10), st.floats(0.0, 1.0, width=32)
)
def test_terms_stay_and_descend(weights, share):
    order = sorted(weights, key=lambda term_id: (-weights[term_id], term_id))
    found = adapted(SparseVector(tuple(order), tuple(weights[term_id] for term_id in order)), TABLE, share)
    assert sorted(found.term_ids) == sorted(weights)
    assert list(found.weights) == sorted(found.weights, reverse=True)
    assert all(0 < weight <= max(60.0, TABLE.idf(9)) for weight in found.weights)
