"""Which page a body asks for, and whether its order can be a reranked one. What a cluster says: integration tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidInput
from sidecar.search.paging import NotReranked, Page, page_of, why_not_reranked


def test_a_body_without_numbers_asks_for_the_first_ten() -> None:
    assert page_of({"query": {"match_all": {}}}) == Page(0, 10)


@given(start=st.integers(0, 20_000), size=st.integers(0, 20_000), how=st.sampled_from([int, str, float]))
def test_numbers_count_however_they_are_written(start: int, size: int, how: type) -> None:
    assert page_of({"from": how(start), "size": how(size)}) == Page(start, size)


@pytest.mark.parametrize(("value", "read"), [("2.9", 2), (2.9, 2), (" 2 ", 2), ("2e1", 20), ("+3", 3), (".5", 0)])
def test_fractions_are_cut_off(value: str | float, read: int) -> None:
    assert page_of({"size": value}).size == read


@pytest.mark.parametrize(
    "value",
    [
        -1,
        "-1",
        -0.5 - 1,
        2**31,
        "1e999",
        float("nan"),
        float("inf"),
        "nan",
        "inf",
        "1_0",
        "",
        "two",
        "٣",
        True,
        None,
        [2],
    ],
    ids=repr,
)
@pytest.mark.parametrize("key", ["from", "size"])
def test_what_the_cluster_refuses_is_refused_and_named(key: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=key) as caught:
        page_of({key: value})  # type: ignore[dict-item]  # what callers may send all the same
    assert caught.value.field == f"body.{key}"


BY_SCORE = [None, [], "_score", ["_score"], {"_score": "desc"}, [{"_score": {"order": "desc"}}], [{"_score": {}}]]
OWN = [
    ["_score", {"year": "desc"}],
    ["_score", "_score"],
    ["_score", "_doc"],
    {"_score": "desc", "year": "asc"},
    [{"_score": "asc"}],
    {"_score": {"order": "asc"}},
    {"year": "desc"},
    "year",
    [{}],
    [None, "_score"],
]


@pytest.mark.parametrize("sort", BY_SCORE, ids=repr)
def test_a_body_sorted_by_score_alone_is_reranked(sort: object) -> None:
    assert why_not_reranked({"sort": sort}) is None  # type: ignore[dict-item]
    assert why_not_reranked({"sort": sort, "search_after": [1.0]}) is NotReranked.SEARCH_AFTER  # type: ignore[dict-item]


@pytest.mark.parametrize("sort", OWN, ids=repr)
def test_the_reason_is_the_same_on_every_page_of_a_body(sort: object) -> None:
    assert why_not_reranked({"sort": sort}) is NotReranked.OWN_SORT  # type: ignore[dict-item]
    assert why_not_reranked({"sort": sort, "search_after": [1.0, 2]}) is NotReranked.OWN_SORT  # type: ignore[dict-item]
