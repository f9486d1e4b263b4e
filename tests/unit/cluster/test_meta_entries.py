"""What lies in a mapping's `_meta`, byte for byte: indices outlive the version of ours that wrote them."""

from __future__ import annotations

import orjson
import pytest

from sidecar.cluster.mirror import SecondIndexRecord
from sidecar.cluster.record import SettingChange, SetupRecord
from sidecar.domain import Pruning, PruningType
from sidecar.engine import CollectionFrequencies, IndexMeta, MigrationRecord, MigrationState, PassageRule

OLD = IndexMeta(fingerprint="aa" * 32, bundle="old")
NEW = IndexMeta(
    fingerprint="bb" * 32,
    bundle="new",
    dialect="neural_sparse",
    vector_field="passages.vector",
    hash_field="new_hash",
    source_fields=("body",),
    lexical_field="body",
    pruning=Pruning(PruningType.MAX_RATIO, 0.1),
    passages=PassageRule(words=100, stride=50, limit=8),
)
TABLE = CollectionFrequencies(fingerprint="aa" * 32, documents=5, sampled=4, refreshed="now", table="eJxjYGBgAAAABAAB")

OLD_JSON = (
    b'{"schema_version":1,"fingerprint":"' + b"aa" * 32 + b'","bundle":"old","dialect":"rank_features",'
    b'"vector_field":"splade","hash_field":"splade_hash","source_fields":["title","text"],"lexical_field":"content",'
    b'"pruning":{"type":"none","value":0.0}}'
)
NEW_JSON = (
    b'{"schema_version":1,"fingerprint":"' + b"bb" * 32 + b'","bundle":"new","dialect":"neural_sparse",'
    b'"vector_field":"passages.vector","hash_field":"new_hash","source_fields":["body"],"lexical_field":"body",'
    b'"pruning":{"type":"max_ratio","value":0.1},"passages":{"words":100,"stride":50,"limit":8}}'
)
TABLE_JSON = (
    b'{"version":1,"fingerprint":"' + b"aa" * 32 + b'","documents":5,"sampled":4,"refreshed":"now",'
    b'"table":"eJxjYGBgAAAABAAB"}'
)
Entry = IndexMeta | CollectionFrequencies | MigrationRecord | SetupRecord | SecondIndexRecord

GOLDEN: list[tuple[Entry, bytes]] = [
    (OLD, b'{"splade_sidecar":' + OLD_JSON + b"}"),
    (NEW, b'{"splade_sidecar":' + NEW_JSON + b"}"),
    (TABLE, b'{"splade_sidecar_frequencies":' + TABLE_JSON + b"}"),
    (
        MigrationRecord(candidate=NEW, previous=OLD),
        b'{"splade_sidecar_migration":{"schema_version":1,"state":"filling","candidate":' + NEW_JSON + b',"previous":'
        b"" + OLD_JSON + b',"frequencies":null,"begun":null,"verified":null,"switched":null}}',
    ),
    (
        MigrationRecord(
            state=MigrationState.SWAPPED,
            candidate=NEW,
            previous=OLD,
            frequencies=TABLE,
            begun="b",
            verified="v",
            switched="s",
        ),
        b'{"splade_sidecar_migration":{"schema_version":1,"state":"swapped","candidate":' + NEW_JSON + b',"previous":'
        b"" + OLD_JSON + b',"frequencies":' + TABLE_JSON + b',"begun":"b","verified":"v","switched":"s"}}',
    ),
    (
        SetupRecord(),
        b'{"splade_sidecar_setup":{"schema_version":1,"created_index":false,"added_fields":[],"index_template":null,'
        b'"search_pipeline":null,"ingest_pipeline":null,"connector":null,"cluster_settings":{}}}',
    ),
    (
        SetupRecord(
            created_index=True,
            added_fields=("splade", "splade_hash"),
            index_template="t",
            search_pipeline="s",
            ingest_pipeline="i",
            connector="http://c",
            cluster_settings={"plugins.x": SettingChange(before=None, after=["a", 1])},
        ),
        b'{"splade_sidecar_setup":{"schema_version":1,"created_index":true,"added_fields":["splade","splade_hash"],'
        b'"index_template":"t","search_pipeline":"s","ingest_pipeline":"i","connector":"http://c",'
        b'"cluster_settings":{"plugins.x":{"before":null,"after":["a",1]}}}}',
    ),
    (
        SecondIndexRecord(alias="shop", first="shop-1", second="shop-2", begun="b", verified="v"),
        b'{"splade_sidecar_second_index":{"schema_version":1,"alias":"shop","first":"shop-1","second":"shop-2",'
        b'"begun":"b","verified":"v","switching":null,"switched":null}}',
    ),
]


@pytest.mark.parametrize(("entry", "written"), GOLDEN)
def test_an_entry_is_written_as_ever(entry: Entry, written: bytes) -> None:
    assert orjson.dumps(entry.to_mapping()) == written
