"""What holds of every dialect: a query's score is the boosted inner product, and no vector is another model's.

Queries are evaluated here as Lucene does: features of a document, clauses of a query, sums of products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import JsonObject, SparseVector
from sidecar.engine import DIALECTS, ClusterInfo, Dialect, Distribution, choose_dialect, dialect_named
from sidecar.engine.dialect import PREFERENCE, dialect_for
from sidecar.engine.features import LARGEST_QUERY_WEIGHT, MAX_CLAUSES
from sidecar.errors import InvalidInput, UnsupportedEngine
from tests.unit.engine.vectors import FINGERPRINT, weighted

OTHER = "fedcba9876543210" * 4
FIELD = "vec"

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)

vocabulary = ["the", "u.s.", "100%", "%2E", "##ing", "wolf", "näive", "_splade_", "日本"]
moderate = st.floats(0.01, 200.0)
pairs = st.dictionaries(st.sampled_from(range(len(vocabulary))), moderate, max_size=len(vocabulary))


def vector_of(weights: Mapping[int, float]) -> SparseVector:
    ordered = sorted(weights.items(), key=lambda one: (-one[1], one[0]))
    return SparseVector(
        tuple(term for term, _ in ordered),
        tuple(weight for _, weight in ordered),
        tuple(vocabulary[term] for term, _ in ordered),
    )


def score(query: JsonObject, document: JsonObject) -> float | None:
    """The score of a document's fields under a query; None where it does not match."""
    ((kind, clause),) = query.items()
    match kind:
        case "match_none":
            return None
        case "rank_feature":
            field, _, feature = clause["field"].rpartition(".")
            weight = document[field].get(feature)
            if weight is None:
                return None
            if "saturation" in clause:
                pivot = clause["saturation"]["pivot"]
                return clause["boost"] * weight / (weight + pivot)
            assert clause["boost"] > 0.0
            return clause["boost"] * weight
        case "term":
            ((field, wanted),) = clause.items()
            return 1.0 if document.get(field) == wanted["value"] else None
        case "sparse_vector":
            return _product(clause["query_vector"], document[clause["field"]], clause.get("boost", 1.0))
        case "neural_sparse":
            ((field, inner),) = clause.items()
            return _product(inner["query_tokens"], document.get(field, {}), inner.get("boost", 1.0))
        case "bool":
            if "filter" in clause:
                return 0.0 if all(score(one, document) is not None for one in clause["filter"]) else None
            assert clause["minimum_should_match"] == 1
            found = [value for value in (score(one, document) for one in clause["should"]) if value is not None]
            return math.fsum(found) if found else None
    raise AssertionError(f"no dialect sends {kind}")


def _product(tokens: Mapping[str, float], features: Mapping[str, float], boost: float) -> float | None:
    assert all(0.0 < weight <= LARGEST_QUERY_WEIGHT for weight in tokens.values())
    shared = [weight * features[token] for token, weight in tokens.items() if token in features]
    return boost * math.fsum(shared) if shared else None


@every_dialect
@given(query=pairs, document=pairs, boost=st.floats(0.05, 20.0))
def test_a_score_is_the_boosted_inner_product(
    dialect: Dialect, query: dict[int, float], document: dict[int, float], boost: float
) -> None:
    stored = {FIELD: {}, **dialect.document_fields(FIELD, vector_of(document), FINGERPRINT)}
    found = score(dialect.sparse_query(FIELD, vector_of(query), boost), stored)
    shared = set(query) & set(document)
    if not shared:
        assert found is None, "a document that shares no term is not found, not even by its sentinel"
        return
    product = boost * math.fsum(query[term] * document[term] for term in shared)
    # By saturation, a score falls short by a share of at most weight / pivot.
    tolerance = 0.1 if dialect.name.endswith("saturation") else 1e-9
    assert found == pytest.approx(product, rel=tolerance)
    assert found <= product * (1.0 + 1e-9)


@every_dialect
@given(document=pairs)
def test_presence_is_seen_of_its_own_model_alone(dialect: Dialect, document: dict[int, float]) -> None:
    stored = {FIELD: {}, **dialect.document_fields(FIELD, vector_of(document), FINGERPRINT)}
    assert score(dialect.presence_filter(FIELD, FINGERPRINT), stored) is not None
    assert score(dialect.presence_filter(FIELD, OTHER), stored) is None
    assert score(dialect.presence_filter(FIELD, FINGERPRINT), {FIELD: {}}) is None


@every_dialect
@given(document=pairs)
def test_a_vector_stays_within_the_fields_that_are_replaced_with_it(
    dialect: Dialect, document: dict[int, float]
) -> None:
    fields = dialect.written_fields(FIELD)
    assert fields[0] == FIELD
    assert set(dialect.document_fields(FIELD, vector_of(document), FINGERPRINT)) <= set(fields)


@every_dialect
@given(document=pairs)
def test_every_feature_of_a_query_is_told_by_its_term(dialect: Dialect, document: dict[int, float]) -> None:
    vector = vector_of(document)
    features = dialect.document_features(vector, FINGERPRINT)
    told = [dialect.term_of(feature, vector) for feature in features if not feature.startswith("_splade_0")]
    assert told == list(vector.terms)


@every_dialect
def test_no_terms_find_nothing_instead_of_everything(dialect: Dialect) -> None:
    assert dialect.sparse_query(FIELD, SparseVector()) == {"match_none": {}}


@every_dialect
@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_weights_that_are_none_are_refused_without_the_term(dialect: Dialect, weight: float) -> None:
    vector = SparseVector((1,), (weight,), ("diagnosis",))
    for refused in (
        lambda: dialect.sparse_query(FIELD, vector),
        lambda: dialect.document_fields(FIELD, vector, FINGERPRINT),
    ):
        with pytest.raises(InvalidInput) as caught:
            refused()
        assert "diagnosis" not in caught.value.message


@every_dialect
@pytest.mark.parametrize("boost", [0.0, -2.0, math.nan, math.inf])
def test_a_boost_that_is_none_is_refused(dialect: Dialect, boost: float) -> None:
    with pytest.raises(InvalidInput):
        dialect.sparse_query(FIELD, SparseVector((1,), (1.0,), ("t",)), boost)


@every_dialect
def test_a_query_has_no_more_clauses_than_a_cluster_takes(dialect: Dialect) -> None:
    many = weighted(MAX_CLAUSES + 7)
    query = dialect.sparse_query(FIELD, many)
    assert score(query, {FIELD: {}, **dialect.document_fields(FIELD, many, FINGERPRINT)}) is not None
    lightest = SparseVector(many.term_ids[-7:], many.weights[-7:], many.terms[-7:])
    assert score(query, {FIELD: {}, **dialect.document_fields(FIELD, lightest, FINGERPRINT)}) is None
    last = SparseVector((MAX_CLAUSES - 1,), (1.0,), (many.terms[MAX_CLAUSES - 1],))
    assert score(query, {FIELD: {}, **dialect.document_fields(FIELD, last, FINGERPRINT)}) is not None


@every_dialect
def test_two_models_whose_fingerprints_begin_alike_are_one_to_the_index(dialect: Dialect) -> None:
    """Sixteen hex digits are kept: what comes behind them must not matter on either side."""
    alike = FINGERPRINT[:16] + "0" * 48
    assert dialect.presence_filter(FIELD, FINGERPRINT) == dialect.presence_filter(FIELD, alike)
    vector = SparseVector((1,), (1.0,), ("t",))
    assert dialect.document_fields(FIELD, vector, FINGERPRINT) == dialect.document_fields(FIELD, vector, alike)


@every_dialect
def test_names_are_known_and_mappings_are_of_one_type(dialect: Dialect) -> None:
    assert dialect_named(dialect.name) is dialect
    assert dialect.field_mapping()["type"] in {"rank_features", "sparse_vector"}


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnsupportedEngine) as caught:
        dialect_named("splade")
    assert all(name in caught.value.message for name in DIALECTS)


releases = st.tuples(st.integers(1, 10), st.integers(0, 30))


@given(st.sampled_from(Distribution), releases)
def test_a_cluster_gets_the_first_dialect_that_it_can_do(distribution: Distribution, release: tuple[int, int]) -> None:
    cluster = ClusterInfo(distribution, f"{release[0]}.{release[1]}.0", "c", release)
    able = [name for name in PREFERENCE if DIALECTS[name].unsupported_because(cluster) is None]
    if not able:
        with pytest.raises(UnsupportedEngine) as caught:
            dialect_for(cluster)
        assert all(DIALECTS[name].unsupported_because(cluster) in caught.value.message for name in PREFERENCE)
        return
    assert dialect_for(cluster).name == able[0]
    choice = choose_dialect(cluster)
    assert choice.dialect.name == able[0]
    assert [reason.split(":")[0] for reason in choice.passed_over] == [
        f"not {name}" for name in PREFERENCE[: PREFERENCE.index(able[0])]
    ]
    assert choose_dialect(cluster, able[-1]).dialect.name == able[-1]


@given(releases, releases)
def test_what_an_older_release_can_do_a_newer_one_can(one: tuple[int, int], other: tuple[int, int]) -> None:
    older, newer = sorted((one, other))
    for name in ("elasticsearch", "rank_features", "rank_features_saturation"):
        for distribution in Distribution:
            old = ClusterInfo(distribution, "old", "c", older)
            new = ClusterInfo(distribution, "new", "c", newer)
            if DIALECTS[name].unsupported_because(old) is None:
                assert DIALECTS[name].unsupported_because(new) is None
