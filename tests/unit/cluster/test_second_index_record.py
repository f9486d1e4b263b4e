"""What two indices say about a migration from one to the other, and which of them the alias stands for."""

from __future__ import annotations

import pytest

from sidecar.cluster.mirror import SECOND_INDEX_KEY, Pair, SecondIndexRecord, Side
from sidecar.engine import IndexMeta
from sidecar.errors import IndexNotPrepared, InvalidInput

RECORD = SecondIndexRecord(alias="shop", first="shop-1", second="shop-2", begun="then")
OLD = IndexMeta(fingerprint="aa" * 32, bundle="old")
NEW = IndexMeta(fingerprint="bb" * 32, bundle="new")


def sides(serving: str) -> tuple[Side, Side]:
    first = Side("shop-1", {}, OLD, {"shop": {}} if serving == "shop-1" else {})
    return first, Side("shop-2", {}, NEW, {"shop": {}} if serving == "shop-2" else {})


def test_a_record_survives_the_mapping() -> None:
    switched = RECORD.model_copy(update={"verified": "v", "switching": "s", "switched": "w"})
    assert SecondIndexRecord.parse("shop-2", switched.to_mapping()) == switched
    assert SecondIndexRecord.parse("shop-2", {"theirs": 1}) is None
    assert SecondIndexRecord.parse("shop-2", None) is None
    with pytest.raises(IndexNotPrepared, match="not one this version reads"):
        SecondIndexRecord.parse("shop-2", {SECOND_INDEX_KEY: {"schema_version": 9}})


def test_the_alias_says_which_index_is_searched() -> None:
    first, second = sides("shop-1")
    before = Pair(RECORD, first, second)
    assert (before.serving, before.other, before.swapped) == (first, second, False)
    first, second = sides("shop-2")
    after = Pair(RECORD, first, second)
    assert (after.serving, after.other, after.swapped) == (second, first, True)


def test_an_alias_that_was_taken_away() -> None:
    first, second = sides("nobody")
    with pytest.raises(InvalidInput, match="The alias shop was taken"):
        _ = Pair(RECORD, first, second).serving


def test_an_index_that_is_not_there() -> None:
    first, second = sides("shop-1")
    with pytest.raises(InvalidInput, match="has one index only"):
        _ = Pair(RECORD, first, None).other
    _, second = sides("shop-2")
    dropped = Pair(RECORD, None, second)
    assert dropped.swapped
    with pytest.raises(InvalidInput, match="has one index only"):
        _ = dropped.other
