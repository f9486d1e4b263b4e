"""The record an index keeps about itself."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.domain import Pruning, PruningType
from sidecar.engine import META_KEY, IndexMeta
from sidecar.errors import FingerprintMismatch, IndexNotPrepared

names = st.from_regex(r"[a-z_][a-z0-9_.]{0,20}", fullmatch=True)
prunings = st.sampled_from(
    [
        Pruning(),
        Pruning(PruningType.MAX_RATIO, 0.1),
        Pruning(PruningType.TOP_K, 128),
        Pruning(PruningType.ABS_VALUE, 2.5),
    ]
)
metas = st.builds(
    IndexMeta,
    fingerprint=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    bundle=st.text(min_size=1, max_size=40),
    vector_field=names,
    hash_field=names,
    source_fields=st.lists(names, min_size=1, max_size=4).map(tuple),
    lexical_field=names,
    pruning=prunings,
)
GOOD = {"fingerprint": "ab" * 32, "bundle": "starter"}


@given(metas)
def test_a_record_survives_the_mapping(meta: IndexMeta) -> None:
    stored = orjson.loads(orjson.dumps(meta.to_mapping()))
    assert IndexMeta.parse("i", stored[META_KEY]) == meta


def test_an_index_without_a_record_was_never_set_up() -> None:
    with pytest.raises(IndexNotPrepared, match="sidecar setup --index articles"):
        IndexMeta.parse("articles", None)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"fingerprint": "short"}, "fingerprint"),
        ({"surprise": 1}, "surprise"),
        ({"source_fields": []}, "source_fields"),
        ({"vector_field": "has space"}, "vector_field"),
        ({"pruning": {"type": "sideways", "value": 1}}, "pruning"),
        ({"pruning": {"type": "max_ratio", "value": 7}}, "max_ratio"),
    ],
)
def test_a_record_that_is_not_ours_names_the_key(change: dict[str, object], key: str) -> None:
    with pytest.raises(IndexNotPrepared, match=key):
        IndexMeta.parse("i", {**GOOD, **change})


def test_a_record_is_frozen() -> None:
    meta = IndexMeta.parse("i", GOOD)
    with pytest.raises(ValidationError):
        meta.bundle = "other"  # type: ignore[misc]


def test_another_fingerprint_is_refused_by_name() -> None:
    meta = IndexMeta.parse("i", GOOD)
    meta.require_fingerprint("ab" * 32, "articles")
    with pytest.raises(FingerprintMismatch, match="articles holds vectors of starter"):
        meta.require_fingerprint("cd" * 32, "articles")
