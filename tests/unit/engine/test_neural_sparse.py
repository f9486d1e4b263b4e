"""Laws of the neural_sparse dialect; the JSON literals are what a live node with the plugin accepted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.engine import dialect_named
from sidecar.errors import InvalidInput
from tests.unit.engine.vectors import FINGERPRINT, vectors, weighted

DIALECT = dialect_named("neural_sparse")


def test_the_query_as_a_live_node_takes_it() -> None:
    query = DIALECT.sparse_query("sp", SparseVector((3, 4), (1.7, 0.4), ("tok1", "u.s.")))
    assert query == {"neural_sparse": {"sp": {"query_tokens": {"tok1": 1.7, "u.s.": 0.4}}}}


def test_a_boost_stands_beside_the_tokens() -> None:
    query = DIALECT.sparse_query("sp", SparseVector((3,), (1.7,), ("tok1",)), 0.5)
    assert query == {"neural_sparse": {"sp": {"query_tokens": {"tok1": 1.7}, "boost": 0.5}}}


def test_weights_above_64_go_into_the_boost() -> None:
    query = DIALECT.sparse_query("sp", SparseVector((1, 2), (128.0, 32.0), ("a", "b")), 3.0)
    assert query == {"neural_sparse": {"sp": {"query_tokens": {"a": 64.0, "b": 16.0}, "boost": 6.0}}}


@given(vectors, st.floats(1e-3, 1e3))
def test_no_token_is_ever_refused_and_products_are_kept(vector: SparseVector, boost: float) -> None:
    query = DIALECT.sparse_query("sp", vector, boost)
    if not len(vector):
        assert query == {"match_none": {}}
        return
    clause = query["neural_sparse"]["sp"]
    assert all(0.0 < weight <= 64.0 for weight in clause["query_tokens"].values())
    assert set(clause["query_tokens"]) == set(vector.terms)
    factor = clause.get("boost", 1.0)
    for term, weight in vector.by_term().items():
        if weight > 1e-30:
            assert clause["query_tokens"][term] * factor == pytest.approx(weight * boost, rel=1e-6)


@pytest.mark.parametrize("boost", [0.0, -1.0, math.nan, math.inf])
def test_a_boost_that_gives_no_score_is_refused(boost: float) -> None:
    with pytest.raises(InvalidInput):
        DIALECT.sparse_query("sp", SparseVector((1,), (1.0,), ("t",)), boost)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_a_query_weight_that_gives_no_score_is_refused(weight: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        DIALECT.sparse_query("sp", SparseVector((1,), (weight,), ("secret",)))
    assert "secret" not in caught.value.message


def test_more_tokens_than_the_clause_limit_are_cut_to_the_heaviest() -> None:
    tokens = DIALECT.sparse_query("sp", weighted(1_500))["neural_sparse"]["sp"]["query_tokens"]
    assert len(tokens) == 1_000
    assert "t0" in tokens
    assert "t1000" not in tokens


def test_documents_keep_their_terms_as_they_are() -> None:
    vector = SparseVector((1, 2), (1.5, 1.0), ("u.s.", "100%"))
    assert DIALECT.document_fields("sp", vector, FINGERPRINT) == {
        "sp": {"u.s.": 1.5, "100%": 1.0, "_splade_0123456789abcdef": 1.0}
    }
    assert DIALECT.written_fields("sp") == ("sp",)


def test_presence_is_asked_for_without_the_plugin() -> None:
    clause = {"rank_feature": {"field": "sp._splade_0123456789abcdef", "linear": {}, "boost": 1.0}}
    assert DIALECT.presence_filter("sp", FINGERPRINT) == {"bool": {"filter": [clause]}}


def test_a_feature_is_its_own_term() -> None:
    assert DIALECT.term_of("%2E", SparseVector()) == "%2E"
    assert DIALECT.field_mapping() == {"type": "rank_features"}
    assert DIALECT.unsuitable_because(250_002) is None
