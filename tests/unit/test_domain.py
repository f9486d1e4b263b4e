"""The value objects refuse what makes no sense, and stay as they are."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import (
    Document,
    JsonObject,
    JsonValue,
    Pruning,
    PruningType,
    SparseVector,
    WindowPolicy,
    Windows,
    as_object,
)
from sidecar.errors import InvalidInput, InvalidPruning


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (PruningType.MAX_RATIO, 1.0),
        (PruningType.MAX_RATIO, -0.1),
        (PruningType.ALPHA_MASS, 1.0),
        (PruningType.ABS_VALUE, 0.0),
        (PruningType.ABS_VALUE, -1.0),
        (PruningType.TOP_K, 0.0),
        (PruningType.TOP_K, 1.5),
        (PruningType.NONE, math.nan),
        (PruningType.MAX_RATIO, math.nan),
        (PruningType.TOP_K, math.inf),
    ],
)
def test_a_pruning_out_of_range_names_its_field(type: PruningType, value: float) -> None:
    with pytest.raises(InvalidPruning) as raised:
        Pruning(type, value)
    assert raised.value.field == "pruning.value"


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (PruningType.NONE, 0.0),
        (PruningType.MAX_RATIO, 0.0),
        (PruningType.MAX_RATIO, 0.999),
        (PruningType.ALPHA_MASS, 0.5),
        (PruningType.ABS_VALUE, 1e-9),
        (PruningType.TOP_K, 1.0),
    ],
)
def test_a_pruning_in_range_is_kept(type: PruningType, value: float) -> None:
    assert Pruning(type, value).value == value
    assert Pruning.of(type, value) == Pruning(type, value)


@pytest.mark.parametrize(
    ("type", "value", "field"),
    [
        *((type, None, "pruning.value") for type in PruningType if type is not PruningType.NONE),
        (None, 0.3, "pruning.type"),
        (None, math.nan, "pruning.type"),
        (PruningType.MAX_RATIO, 1.0, "pruning.value"),
    ],
)
def test_half_a_rule_of_pruning_is_none(type: PruningType | None, value: float | None, field: str) -> None:
    with pytest.raises(InvalidPruning) as raised:
        Pruning.of(type, value)
    assert raised.value.field == field


@pytest.mark.parametrize("said", [(None, None), (None, 0.0), (PruningType.NONE, None), (PruningType.NONE, 0.0)])
def test_nothing_said_of_pruning_keeps_everything(said: tuple[PruningType | None, float | None]) -> None:
    assert Pruning.of(*said) == Pruning()


def test_windows_refuse_negative_stride_and_no_window() -> None:
    with pytest.raises(InvalidInput, match="stride"):
        Windows(WindowPolicy.SLIDE, stride=-1)
    with pytest.raises(InvalidInput, match="window"):
        Windows(WindowPolicy.SLIDE, max_windows=0)


@pytest.mark.parametrize("field", ["stride", "max_windows"])
def test_windows_refuse_what_the_contract_has_no_room_for(field: str) -> None:
    Windows(WindowPolicy.SLIDE, **{field: 2**32 - 1})
    with pytest.raises(InvalidInput) as raised:
        Windows(WindowPolicy.SLIDE, **{field: 2**32})
    assert raised.value.field == f"windows.{field}"


def test_columns_of_a_vector_have_one_length() -> None:
    with pytest.raises(ValueError, match="columns"):
        SparseVector((1, 2), (0.5,))
    with pytest.raises(ValueError, match="columns"):
        SparseVector((1,), (0.5,), ("a", "b"))


def test_a_vector_without_terms_says_so() -> None:
    with pytest.raises(ValueError, match="without its terms"):
        SparseVector((1,), (0.5,)).by_term()
    assert SparseVector((1,), (0.5,), ("a",)).by_term() == {"a": 0.5}


vectors = st.dictionaries(st.integers(0, 50), st.floats(0.01, 10), max_size=20).map(
    lambda d: SparseVector(tuple(d), tuple(d.values()))
)


@given(vectors, vectors)
def test_the_inner_product_is_symmetric_and_exact(left: SparseVector, right: SparseVector) -> None:
    expected = math.fsum(a * b for i, a in left for j, b in right if i == j)
    assert left.dot(right) == right.dot(left) == expected


def test_value_objects_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SparseVector().weights = (1.0,)  # type: ignore[misc]


def test_a_documents_text_joins_its_string_fields() -> None:
    document = Document("1", {"title": " A title ", "text": "", "tags": ["x", 3, "y"], "n": 5})
    assert document.text(("title", "text", "tags", "n", "missing")) == "A title x y"


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1], ["a", {}], ()])
def test_what_is_no_object_reads_as_an_empty_one(value: JsonValue) -> None:
    assert as_object(value) == {}


def test_an_object_is_read_as_it_is() -> None:
    given: JsonObject = {"hits": {"total": 3}}
    assert as_object(given) is given
    assert as_object(as_object(as_object(given).get("hits")).get("total")) == {}
