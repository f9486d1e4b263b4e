"""What `migrate status` tells a person and a program, in one index and in two, at every step of a migration."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from sidecar.cli import migrate, second_index
from sidecar.cluster.migrate import FieldCounts, MigrationStatus
from sidecar.cluster.mirror.pair import Pair, Side
from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.second_index import SecondIndexStatus
from sidecar.domain import JsonObject
from sidecar.engine import IndexMeta, MigrationRecord, MigrationState
from sidecar.errors import InvalidInput

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old")
NEW = IndexMeta(fingerprint="bb" * 32, bundle="new", vector_field="splade_bb", hash_field="splade_bb_hash")
FULL = FieldCounts(documents=10, with_vector=9, without_text=1, missing=0)
HALF = FieldCounts(documents=10, with_vector=4, without_text=1, missing=5)


def told(found: MigrationStatus) -> list[str]:
    return migrate._lines(found)


def test_an_index_that_is_not_migrated() -> None:
    found = MigrationStatus("shop", OLD, FULL)
    assert told(found) == [
        "shop is searched by old (aaaaaaaaaaaaaaaa) in splade: 9 of 10 documents have a vector, 1 no text,"
        " 0 are missing.",
        "No migration is open.",
    ]
    figures = migrate._figures(found)
    assert (figures["state"], figures["other"], figures["other_counts"]) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "active", "other"),
    [
        (MigrationState.FILLING, OLD, NEW),
        (MigrationState.SWAPPED, NEW, OLD),
        (MigrationState.DROPPING, NEW, OLD),
        (MigrationState.ABORTING, OLD, NEW),
    ],
)
def test_the_other_model_at_every_step(state: MigrationState, active: IndexMeta, other: IndexMeta) -> None:
    record = MigrationRecord(state=state, candidate=NEW, previous=OLD, verified="on Monday")
    found = MigrationStatus("shop", active, FULL, record, HALF)
    searched, second, times = told(found)
    assert searched.startswith(
        f"shop is searched by {active.bundle} ({active.fingerprint[:16]}) in {active.vector_field}:"
    )
    assert second == (
        f"{state}: {other.bundle} ({other.fingerprint[:16]}) in {other.vector_field}: 4 have a vector, 1 no text,"
        " 5 are missing."
    )
    assert times == "Verified: on Monday; last swap or roll-back: never"
    figures = orjson.loads(orjson.dumps(migrate._figures(found)))
    assert figures["state"] == str(state)
    assert figures["counts"] == {"documents": 10, "with_vector": 9, "without_text": 1, "missing": 0}
    assert IndexMeta.model_validate(figures["other"]) == other
    assert IndexMeta.model_validate(figures["active"]) == active


RECORD = SecondIndexRecord(alias="shop", first="shop-1", second="shop-2", begun="on Sunday")


def pair(serving: str = "shop-1", *, without: str = "", record: SecondIndexRecord = RECORD) -> Pair:
    alias: dict[str, JsonObject] = {"shop": {}}
    sides = {
        name: Side(name, {}, meta, alias if name == serving else {})
        for name, meta in (("shop-1", OLD), ("shop-2", NEW))
        if name != without
    }
    return Pair(record, sides.get("shop-1"), sides.get("shop-2"))


def test_two_indices_before_a_swap() -> None:
    found = SecondIndexStatus(pair(), FULL, HALF)
    assert second_index.lines(found) == [
        "shop stands for shop-1, searched by old: 9 of 10 documents have a vector, 1 no text, 0 are missing.",
        "shop-2 is a copy of it, encoded by new: 4 of 10 documents have a vector, 1 no text, 5 are missing.",
        "Begun: on Sunday; verified: never; last swap or roll-back: never",
    ]
    figures = orjson.loads(orjson.dumps(second_index.figures(found)))
    assert (figures["index"], figures["other_index"], figures["state"]) == ("shop-1", "shop-2", "filling")
    assert figures["other_counts"]["missing"] == 5


def test_two_indices_after_a_swap() -> None:
    record = RECORD.model_copy(update={"verified": "on Monday", "switched": "on Tuesday"})
    found = SecondIndexStatus(pair("shop-2", record=record), FULL, HALF)
    searched, copy, times = second_index.lines(found)
    assert searched.startswith("shop stands for shop-2, searched by new:")
    assert copy.startswith("shop-1 is a copy of it, encoded by old:")
    assert times == "Begun: on Sunday; verified: on Monday; last swap or roll-back: on Tuesday"
    assert second_index.figures(found)["state"] == "swapped"


@pytest.mark.parametrize(
    ("serving", "without", "said"),
    [
        ("shop-1", "shop-2", "shop-2 is not made yet: repeat `sidecar migrate start --into shop-2`, or `abort`."),
        ("shop-2", "shop-1", "shop-1 is deleted: repeat `sidecar migrate drop`."),
    ],
)
def test_a_command_that_was_cut_short_is_named(serving: str, without: str, said: str) -> None:
    found = SecondIndexStatus(pair(serving, without=without), FULL, None)
    assert second_index.lines(found)[1] == said
    figures = second_index.figures(found)
    assert (figures["other"], figures["other_index"], figures["other_counts"]) == (None, None, None)


def test_a_switch_that_is_under_way_is_said_with_what_ends_it() -> None:
    record = RECORD.model_copy(update={"switching": "noon"})
    found = SecondIndexStatus(pair(record=record), FULL, HALF)
    assert second_index.lines(found)[2] == (
        "Since noon a switch is under way, and writes are refused. If nobody is at it, repeat `swap` or `rollback`:"
        " either lets them through."
    )
    assert second_index.figures(found)["switching"] == "noon"


def test_an_alias_that_was_taken_away_is_an_error_and_no_guess() -> None:
    found = SecondIndexStatus(pair("nobody"), FULL, HALF)
    for ask in (second_index.lines, second_index.figures):
        with pytest.raises(InvalidInput, match="give it back"):
            ask(found)


def test_what_is_shown_is_what_was_counted() -> None:
    counts = replace(FULL, documents=1_234_567, missing=7)
    assert "1234567 documents" in told(MigrationStatus("shop", OLD, counts))[0]
    assert "7 are missing" in told(MigrationStatus("shop", OLD, counts))[0]
