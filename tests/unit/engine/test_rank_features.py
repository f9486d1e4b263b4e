"""Laws of the rank_features dialect."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.engine import ClusterInfo, Distribution, RankFeatures, dialect_for, dialect_named
from sidecar.engine.features import LARGEST_WEIGHT, MAX_CLAUSES, SMALLEST_WEIGHT, escape, sentinel, unescape
from sidecar.errors import InvalidInput, UnsupportedEngine
from tests.unit.engine.vectors import FINGERPRINT, terms, vectors

DIALECT = RankFeatures()
SATURATION = dialect_named("rank_features_saturation")


def clusters(distribution: Distribution, *releases: tuple[int, int]) -> list[ClusterInfo]:
    return [ClusterInfo(distribution, f"{major}.{minor}.0", "c", (major, minor)) for major, minor in releases]


@given(terms)
def test_a_term_comes_back_from_its_feature_name(term: str) -> None:
    assert unescape(escape(term)) == term


@given(terms, terms)
def test_two_terms_never_share_a_feature_name(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(terms)
def test_no_feature_name_has_a_dot(term: str) -> None:
    assert "." not in escape(term)


@pytest.mark.parametrize(
    ("term", "feature"), [("u.s.", "u%2Es%2E"), (".", "%2E"), ("100%", "100%25"), ("%2E", "%252E"), ("##ing", "##ing")]
)
def test_feature_names_as_literals(term: str, feature: str) -> None:
    assert escape(term) == feature


@given(vectors)
def test_a_document_holds_every_weight_and_one_sentinel(vector: SparseVector) -> None:
    features = DIALECT.document_features(vector, FINGERPRINT)
    assert features.pop("_splade_0123456789abcdef") == 1.0
    assert {unescape(feature): weight for feature, weight in features.items()} == vector.by_term()


@given(vectors, st.floats(0.1, 10.0))
def test_a_query_has_one_clause_per_term(vector: SparseVector, boost: float) -> None:
    query = DIALECT.sparse_query("vec", vector, boost)
    if not len(vector):
        assert query == {"match_none": {}}
        return
    clauses = [clause["rank_feature"] for clause in query["bool"]["should"]]
    assert {unescape(clause["field"].removeprefix("vec.")): clause["boost"] for clause in clauses} == pytest.approx(
        {term: weight * boost for term, weight in vector.by_term().items()}
    )
    assert all(clause["linear"] == {} for clause in clauses)


def test_of_too_many_terms_the_heaviest_are_kept() -> None:
    count = MAX_CLAUSES + 500
    vector = SparseVector(
        tuple(range(count)), tuple(float(count - place) for place in range(count)), tuple(f"t{i}" for i in range(count))
    )
    clauses = DIALECT.sparse_query("vec", vector)["bool"]["should"]
    assert len(clauses) == MAX_CLAUSES
    assert min(clause["rank_feature"]["boost"] for clause in clauses) == 501.0


@pytest.mark.parametrize("weight", [0.0, -1.0, 1e-40, 1e39, math.inf, math.nan])
def test_a_weight_that_lucene_refuses_is_refused_here(weight: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        DIALECT.document_features(SparseVector((1,), (weight,), ("secret",)), FINGERPRINT)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("weight", [SMALLEST_WEIGHT, LARGEST_WEIGHT])
def test_the_limits_themselves_are_taken(weight: float) -> None:
    assert DIALECT.document_features(SparseVector((1,), (weight,), ("t",)), FINGERPRINT)["t"] == weight


@pytest.mark.parametrize("boost", [0.0, -1.0, math.nan, math.inf])
def test_a_boost_that_gives_no_score_is_refused(boost: float) -> None:
    with pytest.raises(InvalidInput):
        DIALECT.sparse_query("vec", SparseVector((1,), (1.0,), ("t",)), boost)


def test_a_term_beyond_lucenes_length_is_refused() -> None:
    DIALECT.document_features(SparseVector((1,), (1.0,), ("x" * 32_766,)), FINGERPRINT)
    with pytest.raises(InvalidInput):
        DIALECT.document_features(SparseVector((1,), (1.0,), ("x" * 32_767,)), FINGERPRINT)


def test_a_vector_without_terms_is_refused() -> None:
    with pytest.raises(ValueError, match="terms"):
        DIALECT.sparse_query("vec", SparseVector((1,), (1.0,)))


def test_the_presence_filter_asks_for_the_sentinel_alone() -> None:
    query = DIALECT.presence_filter("vec", FINGERPRINT)
    assert query["bool"]["filter"][0]["rank_feature"]["field"] == f"vec.{sentinel(FINGERPRINT)}"


@pytest.mark.parametrize(
    "cluster",
    clusters(Distribution.OPENSEARCH, (2, 0), (2, 19), (3, 8)) + clusters(Distribution.ELASTICSEARCH, (7, 12), (8, 14)),
    ids=str,
)
def test_clusters_that_can(cluster: ClusterInfo) -> None:
    assert dialect_for(cluster).name == "rank_features"


@pytest.mark.parametrize(
    "cluster",
    clusters(Distribution.OPENSEARCH, (1, 3)) + clusters(Distribution.ELASTICSEARCH, (7, 0), (7, 10)),
    ids=str,
)
def test_clusters_from_before_linear_get_saturation(cluster: ClusterInfo) -> None:
    assert dialect_for(cluster).name == "rank_features_saturation"


def test_a_cluster_that_cannot_is_told_why() -> None:
    with pytest.raises(UnsupportedEngine, match="too old"):
        dialect_for(clusters(Distribution.ELASTICSEARCH, (6, 8))[0])


def test_saturation_comes_near_the_product() -> None:
    """Lucene's formula, in its single precision: weight x (1 - pivot / (stored + pivot))."""
    for stored in (0.1, 0.5, 1.0, 2.0, 4.0):
        clause = SATURATION.sparse_query("vec", SparseVector((1,), (2.5,), ("t",)))["bool"]["should"][0]["rank_feature"]
        pivot = np.float32(clause["saturation"]["pivot"])
        score = np.float32(clause["boost"]) * (np.float32(1) - pivot / (np.float32(stored) + pivot))
        assert float(score) == pytest.approx(2.5 * stored, rel=2.5e-3)


def test_saturation_asks_for_presence_in_the_same_way() -> None:
    (clause,) = SATURATION.presence_filter("vec", FINGERPRINT)["bool"]["filter"]
    assert clause["rank_feature"]["field"] == f"vec.{sentinel(FINGERPRINT)}"
    assert "linear" not in clause["rank_feature"]


@given(vectors)
def test_terms_come_back_from_an_explanation(vector: SparseVector) -> None:
    for term in vector.terms:
        assert DIALECT.term_of(escape(term), vector) == term
    assert DIALECT.document_fields("vec", vector, FINGERPRINT) == {
        "vec": DIALECT.document_features(vector, FINGERPRINT)
    }
    assert DIALECT.written_fields("vec") == ("vec",)
    assert DIALECT.unsuitable_because(250_002) is None


def test_an_unknown_dialect_lists_the_known_ones() -> None:
    assert dialect_named("rank_features") is dialect_named("rank_features")
    with pytest.raises(UnsupportedEngine, match="rank_features"):
        dialect_named("seismic-2")
