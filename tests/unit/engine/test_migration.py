"""What a mapping says about a change of its model, and what of it a search may see."""

from __future__ import annotations

import pytest

from sidecar.engine import MIGRATION_KEY, CollectionFrequencies, IndexMeta, MigrationRecord, MigrationState
from sidecar.engine.migration import hidden_fields, record_of
from sidecar.errors import FingerprintMismatch, IndexNotPrepared

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old")
NEW = IndexMeta(fingerprint="bb" * 32, bundle="new", vector_field="splade_bb", hash_field="splade_bb_hash")


def table(meta: IndexMeta) -> CollectionFrequencies:
    return CollectionFrequencies.of({1: 3}, fingerprint=meta.fingerprint, documents=5, sampled=5, refreshed="now")


def mapping(active: IndexMeta, record: MigrationRecord | None = None, *tables: CollectionFrequencies) -> dict:
    meta = {**active.to_mapping(), **(record.to_mapping() if record else {})}
    for one in tables:
        meta.update(one.to_mapping())
    return {"_meta": meta}


@pytest.mark.parametrize(
    ("state", "active", "other", "kept"),
    [
        (MigrationState.FILLING, OLD, NEW, NEW),
        (MigrationState.SWAPPED, NEW, OLD, OLD),
        (MigrationState.DROPPING, NEW, OLD, None),
        (MigrationState.ABORTING, OLD, NEW, None),
    ],
)
def test_which_model_is_which(
    state: MigrationState, active: IndexMeta, other: IndexMeta, kept: IndexMeta | None
) -> None:
    record = MigrationRecord(state=state, candidate=NEW, previous=OLD)
    assert (record.other, record.kept) == (other, kept)
    found = mapping(active, record)
    assert record_of("shop", found) == record_of("shop", found, active.fingerprint) == (active, None)
    if kept is None:
        with pytest.raises(FingerprintMismatch, match="keeps no vectors"):
            record_of("shop", found, other.fingerprint)
    else:
        assert record_of("shop", found, kept.fingerprint) == (kept, None)


def test_a_record_survives_the_mapping() -> None:
    record = MigrationRecord(candidate=NEW, previous=OLD, frequencies=table(NEW), verified="then", switched="later")
    assert MigrationRecord.parse("shop", mapping(OLD, record)["_meta"]) == record
    assert MigrationRecord.parse("shop", mapping(OLD)["_meta"]) is None
    assert MigrationRecord.parse("shop", None) is None


def test_a_record_of_another_version_is_not_guessed_at() -> None:
    broken = {"_meta": {**OLD.to_mapping(), MIGRATION_KEY: {"schema_version": 2}}}
    with pytest.raises(IndexNotPrepared, match="migration"):
        MigrationRecord.parse("shop", broken["_meta"])
    assert record_of("shop", broken)[0] == OLD, "the model that is searched is known all the same"
    assert hidden_fields("shop", broken) == ("splade", "splade_hash")


def test_each_model_has_its_own_frequencies() -> None:
    record = MigrationRecord(candidate=NEW, previous=OLD, frequencies=table(NEW))
    found = mapping(OLD, record, table(OLD))
    assert record_of("shop", found) == (OLD, table(OLD))
    assert record_of("shop", found, NEW.fingerprint) == (NEW, table(NEW))
    strange = mapping(OLD, record.model_copy(update={"frequencies": table(OLD)}), table(NEW))
    assert record_of("shop", strange)[1] is None
    assert record_of("shop", strange, NEW.fingerprint)[1] is None


def test_without_a_migration_only_the_searched_model_is_known() -> None:
    with pytest.raises(FingerprintMismatch, match="migrate status"):
        record_of("shop", mapping(OLD), NEW.fingerprint)
    with pytest.raises(IndexNotPrepared):
        record_of("shop", {})


def test_answers_carry_neither_model_s_fields() -> None:
    record = MigrationRecord(candidate=NEW, previous=OLD)
    both = {"splade", "splade_hash", "splade_bb", "splade_bb_hash"}
    assert set(hidden_fields("shop", mapping(OLD, record))) == both
    swapped = record.model_copy(update={"state": MigrationState.SWAPPED})
    assert set(hidden_fields("shop", mapping(NEW, swapped))) == both
    assert hidden_fields("shop", mapping(OLD)) == ("splade", "splade_hash")
    assert hidden_fields("shop", {"properties": {}}) == ()


def test_answers_do_not_carry_what_stands_beside_a_vector() -> None:
    seismic = OLD.model_copy(update={"dialect": "seismic"})
    assert hidden_fields("shop", mapping(seismic)) == ("splade", "splade_model", "splade_hash")
    assert hidden_fields("shop", mapping(OLD.model_copy(update={"dialect": "unheard-of"}))) == ()
