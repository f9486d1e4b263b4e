"""The records that an index may have in `_meta`: every one survives, and one of another version is never guessed at."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.cluster.mirror.record import SecondIndexRecord
from sidecar.cluster.record import SettingChange, SetupRecord
from sidecar.domain import Pruning, PruningType
from sidecar.engine import CollectionFrequencies, IndexMeta, MigrationRecord, MigrationState, PassageRule
from sidecar.engine.record import MetaRecord
from sidecar.errors import IndexNotPrepared, InvalidInput

fingerprints = st.text("0123456789abcdef", min_size=64, max_size=64)
fields = st.from_regex(r"[a-z_.]{1,12}", fullmatch=True)
words = st.text(min_size=1, max_size=12)
times = st.none() | st.datetimes().map(lambda moment: moment.isoformat())

prunings = st.one_of(
    st.just(Pruning()),
    st.builds(Pruning, st.just(PruningType.TOP_K), st.integers(1, 500)),
    st.builds(Pruning, st.just(PruningType.MAX_RATIO), st.floats(0.01, 0.99)),
)
metas = st.builds(
    IndexMeta,
    fingerprint=fingerprints,
    bundle=words,
    dialect=st.sampled_from(["rank_features", "neural_sparse", "seismic"]),
    vector_field=fields,
    hash_field=fields,
    source_fields=st.lists(fields, min_size=1, max_size=3).map(tuple),
    lexical_field=fields,
    pruning=prunings,
    passages=st.none() | st.builds(PassageRule),
)
tables = st.builds(
    lambda counts, fingerprint: CollectionFrequencies.of(
        counts, fingerprint=fingerprint, documents=100, sampled=50, refreshed="2026-01-01T00:00:00+00:00"
    ),
    st.dictionaries(st.integers(0, 40_000), st.integers(1, 50), max_size=20),
    fingerprints,
)
migrations = st.builds(
    MigrationRecord,
    state=st.sampled_from(MigrationState),
    candidate=metas,
    previous=metas,
    frequencies=st.none() | tables,
    begun=times,
    verified=times,
    switched=times,
)
second_indices = st.builds(
    SecondIndexRecord,
    alias=words,
    first=words,
    second=words,
    begun=words,
    verified=times,
    switching=times,
    switched=times,
)
settings_before = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2)
setups = st.builds(
    SetupRecord,
    created_index=st.booleans(),
    added_fields=st.lists(fields, max_size=3).map(tuple),
    index_template=st.none() | words,
    search_pipeline=st.none() | words,
    ingest_pipeline=st.none() | words,
    connector=st.none() | words,
    cluster_settings=st.dictionaries(
        words, st.builds(SettingChange, before=settings_before, after=settings_before), max_size=2
    ),
)


@given(st.one_of(migrations, second_indices, setups))
def test_every_record_comes_back_from_the_json_of_a_mapping(record: MetaRecord) -> None:
    through = orjson.loads(orjson.dumps({"theirs": 1, **record.to_mapping()}))
    assert type(record).parse("shop", through) == record
    assert set(record.to_mapping()) == {record.KEY}


@given(metas)
def test_a_model_s_record_comes_back_too(meta: IndexMeta) -> None:
    (entry,) = orjson.loads(orjson.dumps(meta.to_mapping())).values()
    assert IndexMeta.parse("shop", entry) == meta
    assert ("passages" in entry) == (meta.passages is not None), "versions without passages read the others"


RECORDS = [MigrationRecord, SecondIndexRecord, SetupRecord]


@pytest.mark.parametrize("kind", RECORDS)
def test_records_of_different_kinds_lie_side_by_side(kind: type[MetaRecord]) -> None:
    assert len({one.KEY for one in RECORDS}) == len(RECORDS)
    others = {other.KEY: {"schema_version": 9} for other in RECORDS if other is not kind}
    assert kind.parse("shop", others) is None


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("meta", [None, {}, [], "text", 3])
def test_an_index_without_the_record(kind: type[MetaRecord], meta: object) -> None:
    assert kind.parse("shop", meta) is None


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        (MigrationRecord, "the record of its migration is not one this version reads"),
        (SecondIndexRecord, "the record of its migration to another index is not one this version reads"),
        (SetupRecord, "the record of what setup did is not one this version reads"),
    ],
)
@pytest.mark.parametrize("entry", [{"schema_version": 2}, {"unheard_of": 1}, "text", [1], 3])
def test_a_record_of_another_version_is_refused_by_the_name_of_its_index(
    kind: type[MetaRecord], about: str, entry: object
) -> None:
    with pytest.raises(IndexNotPrepared) as caught:
        kind.parse("shop-7", {kind.KEY: entry})
    assert caught.value.message == f"Index shop-7: {about}."


def test_records_are_frozen_and_know_their_keys_alone() -> None:
    record = SetupRecord(created_index=True)
    with pytest.raises(ValidationError):
        record.created_index = False  # type: ignore[misc]
    with pytest.raises(ValidationError):
        SetupRecord.model_validate({"created_indices": True})


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"fingerprint": "short"}, "fingerprint"),
        ({"vector_field": "a b"}, "vector_field"),
        ({"vector_field": "a*"}, "vector_field"),
        ({"hash_field": ""}, "hash_field"),
        ({"source_fields": []}, "source_fields"),
        ({"bundle": ""}, "bundle"),
        ({"schema_version": 2}, "schema_version"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_model_s_record_that_is_wrong_says_where(wrong: dict[str, object], where: str) -> None:
    entry = {**IndexMeta(fingerprint="aa" * 32, bundle="old").model_dump(mode="json"), **wrong}
    with pytest.raises(IndexNotPrepared, match=rf"Index shop: .*at {where}"):
        IndexMeta.parse("shop", entry)


def test_a_pruning_that_makes_no_sense_is_refused_as_such() -> None:
    entry = IndexMeta(fingerprint="aa" * 32, bundle="old").model_dump(mode="json")
    entry["pruning"] = {"type": "max_ratio", "value": 7.0}
    with pytest.raises(IndexNotPrepared, match="shop"):
        IndexMeta.parse("shop", entry)
    with pytest.raises(InvalidInput):
        Pruning(PruningType.MAX_RATIO, 7.0)


@pytest.mark.parametrize("template", [None, "shop-template"])
def test_a_template_of_the_old_model_is_pointed_out(template: str | None) -> None:
    notes = [*SetupRecord(index_template=template).template_notes("old-bundle")]
    assert len(notes) == (template is not None)
    assert all("shop-template" in note and "old-bundle" in note and "--template" in note for note in notes)
