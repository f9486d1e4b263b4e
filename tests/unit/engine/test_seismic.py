"""Laws of the seismic dialect; the JSON literals are what a live node with the plugin accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import SparseVector
from sidecar.engine import dialect_named
from sidecar.engine.seismic import MAX_TERM_IDS, advised_ceiling
from sidecar.errors import InvalidInput
from tests.unit.engine.vectors import FINGERPRINT, weighted

DIALECT = dialect_named("seismic")

ids = st.dictionaries(st.integers(0, MAX_TERM_IDS - 1), st.floats(1e-3, 200.0), max_size=40).map(
    lambda found: SparseVector(tuple(found), tuple(found.values()))
)


def test_the_query_as_a_live_node_takes_it() -> None:
    query = DIALECT.sparse_query("sv", SparseVector((7, 12), (1.0, 0.5)), depth=10)
    assert query == {
        "neural_sparse": {
            "sv": {
                "query_tokens": {"7": 1.0, "12": 0.5},
                "method_parameters": {"top_n": 2, "k": 10, "heap_factor": 2.0},
            }
        }
    }


def test_a_segment_gives_as_many_documents_as_are_wanted() -> None:
    def k(depth: int | None) -> int:
        query = DIALECT.sparse_query("sv", weighted(30), depth=depth)
        return query["neural_sparse"]["sv"]["method_parameters"]["k"]

    assert (k(1_000), k(None), k(0)) == (1_000, 100, 1)


@given(ids, st.floats(1e-3, 1e3))
def test_weights_stay_within_the_limit(vector: SparseVector, boost: float) -> None:
    query = DIALECT.sparse_query("sv", vector, boost)
    if not len(vector):
        assert query == {"match_none": {}}
        return
    clause = query["neural_sparse"]["sv"]
    assert all(0.0 < weight <= 64.0 for weight in clause["query_tokens"].values())
    products = {int(key): weight * clause.get("boost", 1.0) for key, weight in clause["query_tokens"].items()}
    assert products == pytest.approx({term_id: weight * boost for term_id, weight in vector})
    assert 1 <= clause["method_parameters"]["top_n"] <= 20


@given(ids)
def test_documents_hold_ids_and_say_who_made_them(vector: SparseVector) -> None:
    fields = DIALECT.document_fields("sv", vector, FINGERPRINT)
    assert fields["sv_model"] == "0123456789abcdef"
    if len(vector):
        assert {int(key): weight for key, weight in fields["sv"].items()} == dict(vector)
    else:
        assert "sv" not in fields
    assert set(fields) <= set(DIALECT.written_fields("sv"))


@pytest.mark.parametrize("term_id", [32_768, 65_543, 2**31 - 1, -1])
def test_ids_that_fold_are_refused_on_both_sides(term_id: int) -> None:
    vector = SparseVector((term_id,), (1.0,))
    for use in (lambda: DIALECT.document_features(vector, FINGERPRINT), lambda: DIALECT.sparse_query("sv", vector)):
        with pytest.raises(InvalidInput, match="folds"):
            use()


def test_the_largest_id_is_taken() -> None:
    assert DIALECT.document_features(SparseVector((32_767,), (1.0,)), FINGERPRINT) == {"32767": 1.0}


@pytest.mark.parametrize("size", [30_522, 32_768])
def test_a_small_vocabulary_will_do(size: int) -> None:
    assert DIALECT.unsuitable_because(size) is None


@pytest.mark.parametrize("size", [32_769, 105_879, 119_547, 250_002])
def test_a_large_vocabulary_is_refused(size: int) -> None:
    assert "--dialect neural_sparse" in (DIALECT.unsuitable_because(size) or "")


def test_presence_is_a_keyword_beside_the_vector() -> None:
    assert DIALECT.presence_filter("sv", FINGERPRINT) == {"term": {"sv_model": {"value": "0123456789abcdef"}}}


def test_the_query_knows_the_terms_of_its_ids() -> None:
    vector = SparseVector((7, 12), (1.0, 0.5), ("wolf", "##s"))
    assert DIALECT.term_of("12", vector) == "##s"
    assert DIALECT.term_of("13", vector) is None


@pytest.mark.parametrize(("observed", "ceiling"), [(3.0, 3.3), (1.83, 2.01), (4.2, 4.62)])
def test_the_ceiling_leaves_a_tenth_above_what_was_observed(observed: float, ceiling: float) -> None:
    assert advised_ceiling(observed) == ceiling
    assert DIALECT.field_mapping() == {"type": "sparse_vector", "method": {"name": "seismic"}}
