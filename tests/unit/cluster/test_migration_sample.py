"""When two vectors count as the same: what is on the edge of a pruning, and what an index can't tell apart."""

from __future__ import annotations

import pytest

from sidecar.cluster.migrate.sample import difference
from sidecar.cluster.migrate.verifying import DIFFERENCE_ALLOWED, VerifyOptions
from sidecar.domain import SparseVector
from sidecar.engine import dialect_named
from sidecar.errors import InvalidInput

FINGERPRINT = "ab" * 32


def fields(**weights: float) -> dict[str, object]:
    terms = sorted(weights, key=lambda term: -weights[term])
    vector = SparseVector(tuple(range(len(terms))), tuple(weights[term] for term in terms), tuple(terms))
    return dialect_named("rank_features").document_fields("splade", vector, FINGERPRINT)


def test_equal_vectors_do_not_differ() -> None:
    assert difference(fields(lion=2.0, bear=0.5), fields(lion=2.0, bear=0.5)) == 0.0


def test_a_difference_is_a_share_of_the_largest_weight() -> None:
    assert difference(fields(lion=2.0, bear=0.5), fields(lion=2.0, bear=0.6)) == pytest.approx(0.05)
    assert difference(fields(lion=2.0, bear=0.5), fields(lion=2.5, bear=0.5)) == pytest.approx(0.2)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_term_on_the_edge_of_the_pruning_may_be_on_either_side(swapped: bool) -> None:
    one, other = fields(lion=2.0, bear=0.5, wolf=0.4), fields(lion=2.0, bear=0.5)
    if swapped:
        one, other = other, one
    assert difference(one, other) == 0.0


def test_a_heavy_term_that_is_missing_counts_by_what_it_weighs_above_the_edge() -> None:
    held, wanted = fields(bear=0.5), fields(lion=2.0, bear=0.5)
    assert difference(held, wanted) == pytest.approx(0.75)
    assert difference(held, wanted) > DIFFERENCE_ALLOWED


def test_the_sentinel_is_no_light_term() -> None:
    """It weighs 1: in a vector of heavier terms, a missing one must not be measured from there."""
    held, wanted = fields(lion=50.0, bear=40.0), fields(lion=50.0, bear=40.0, wolf=45.0)
    assert difference(held, wanted) == pytest.approx(0.1)


def test_the_sentinel_is_no_heavy_term() -> None:
    """It weighs 1: in a vector of lighter terms, differences must not look small beside it."""
    assert difference(fields(lion=0.2, bear=0.1), fields(lion=0.2, bear=0.15)) == pytest.approx(0.25)


def test_another_model_s_vector_differs_by_its_sentinel() -> None:
    held = dialect_named("rank_features").document_fields("splade", SparseVector((0,), (2.0,), ("lion",)), "cd" * 32)
    assert difference(held, fields(lion=2.0)) > DIFFERENCE_ALLOWED


def test_a_field_that_is_not_there_differs_altogether() -> None:
    assert difference({}, fields(lion=2.0)) == 1.0
    assert difference({"splade": "text"}, fields(lion=2.0)) == 1.0
    assert difference({"splade": {}}, fields(lion=2.0)) > DIFFERENCE_ALLOWED


def test_fields_beside_the_vector_are_compared_as_they_are() -> None:
    assert difference({"model": "a"}, {"model": "a"}) == 0.0
    assert difference({"model": "a"}, {"model": "b"}) == 1.0


def test_passages_are_compared_one_by_one() -> None:
    lion, bear = ({"vector": fields(**{beast: 2.0})["splade"], "text": beast, "start": 0} for beast in ("lion", "bear"))
    assert difference({"splade": [lion, bear]}, {"splade": [lion, bear]}) == 0.0
    assert difference({"splade": [bear, lion]}, {"splade": [lion, bear]}) == 1.0
    assert difference({"splade": [lion]}, {"splade": [lion, bear]}) == 1.0
    assert difference({"splade": fields(lion=2.0)["splade"]}, {"splade": [lion]}) == 1.0
    weaker = {**lion, "vector": fields(lion=1.5)["splade"]}
    assert difference({"splade": [weaker, bear]}, {"splade": [lion, bear]}) == pytest.approx(0.25)


@pytest.mark.parametrize("wrong", [{"sample": -1}, {"sample": 10_001}, {"allow_missing": -1}])
def test_options_have_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        VerifyOptions(**wrong)
