"""Laws of the elasticsearch dialect; the JSON literals follow the published specification of the query."""

from __future__ import annotations

import pytest
from hypothesis import given

from sidecar.domain import SparseVector
from sidecar.engine import dialect_named
from sidecar.engine.features import unescape
from tests.unit.engine.vectors import FINGERPRINT, vectors

DIALECT = dialect_named("elasticsearch")


def test_the_query_as_specified() -> None:
    query = DIALECT.sparse_query("sp", SparseVector((3, 4), (1.7, 0.4), ("wolf", "u.s.")))
    assert query == {"sparse_vector": {"field": "sp", "query_vector": {"wolf": 1.7, "u%2Es%2E": 0.4}, "prune": False}}


def test_a_boost_stands_beside_the_vector() -> None:
    query = DIALECT.sparse_query("sp", SparseVector((3,), (96.0,), ("wolf",)), 2.0)
    assert query == {"sparse_vector": {"field": "sp", "query_vector": {"wolf": 64.0}, "prune": False, "boost": 3.0}}


@given(vectors)
def test_a_document_holds_every_weight_and_one_sentinel(vector: SparseVector) -> None:
    fields = DIALECT.document_fields("sp", vector, FINGERPRINT)
    features = dict(fields["sp"])
    assert features.pop("_splade_0123456789abcdef") == 1.0
    assert {unescape(feature): weight for feature, weight in features.items()} == vector.by_term()
    assert not any("." in feature for feature in features)


@given(vectors)
def test_every_query_is_unpruned(vector: SparseVector) -> None:
    query = DIALECT.sparse_query("sp", vector)
    if not len(vector):
        assert query == {"match_none": {}}
        return
    assert query["sparse_vector"]["prune"] is False
    assert {DIALECT.term_of(name, vector) for name in query["sparse_vector"]["query_vector"]} == set(vector.terms)


def test_the_presence_filter_asks_for_the_sentinel_alone() -> None:
    clause = {"field": "sp", "query_vector": {"_splade_0123456789abcdef": 1.0}, "prune": False}
    assert DIALECT.presence_filter("sp", FINGERPRINT) == {"bool": {"filter": [{"sparse_vector": clause}]}}


def test_one_field_of_the_type_for_it() -> None:
    assert DIALECT.field_mapping() == {"type": "sparse_vector"}
    assert DIALECT.written_fields("sp") == ("sp",)
    assert DIALECT.unsuitable_because(250_002) is None


def test_a_vector_without_terms_is_refused() -> None:
    with pytest.raises(ValueError, match="terms"):
        DIALECT.sparse_query("sp", SparseVector((1,), (1.0,)))
