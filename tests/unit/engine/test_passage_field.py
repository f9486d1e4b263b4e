"""Passages as a cluster keeps them, and the queries for the best of them."""

from __future__ import annotations

import pytest

from sidecar.domain import SparseVector
from sidecar.engine import (
    META_KEY,
    EncodedPassage,
    IndexMeta,
    Passage,
    PassageField,
    PassageRule,
    dialect_named,
    dialect_of,
    vector_fields,
)
from sidecar.engine.features import MAX_CLAUSES, sentinel
from sidecar.engine.passage_field import PASSAGE_DIALECTS, scored_field
from sidecar.errors import IndexNotPrepared

FINGERPRINT = "ab" * 32
PLAIN = IndexMeta(fingerprint=FINGERPRINT, bundle="starter")
META = IndexMeta(fingerprint=FINGERPRINT, bundle="starter", vector_field="vec", passages=PassageRule(10, 5, 3))
VECTOR = SparseVector((1, 2), (2.0, 0.5), ("wing", "u.s."))


def test_an_index_without_passages_is_as_it_was() -> None:
    assert dialect_of(PLAIN) is dialect_named("rank_features")
    assert "passages" not in PLAIN.to_mapping()[META_KEY]
    assert scored_field(PLAIN) == "splade"
    assert vector_fields(VECTOR, PLAIN, dialect_of(PLAIN)) == dialect_named("rank_features").document_fields(
        "splade", VECTOR, FINGERPRINT
    )


def test_the_rule_is_in_the_record() -> None:
    record = META.to_mapping()[META_KEY]
    assert record["passages"] == {"words": 10, "stride": 5, "limit": 3}
    assert IndexMeta.parse("i", record) == META
    with pytest.raises(IndexNotPrepared, match="passage"):
        IndexMeta.parse("i", {**record, "passages": {"words": 5, "stride": 6}})


@pytest.mark.parametrize("name", PASSAGE_DIALECTS)
def test_a_passage_holds_its_vector_its_text_and_its_place(name: str) -> None:
    dialect = PassageField(dialect_named(name))
    features = dialect_named(name).document_features(VECTOR, FINGERPRINT)
    fields = vector_fields([EncodedPassage(Passage(7, "the wing"), VECTOR)], META, dialect)
    assert fields == {"vec": [{"vector": features, "text": "the wing", "start": 7}]}
    assert dialect.document_fields("vec", VECTOR, FINGERPRINT) == {"vec": [{"vector": features}]}
    assert features[sentinel(FINGERPRINT)] == 1.0
    assert dialect.written_fields("vec") == ("vec",)
    assert dialect.unsuitable_because(30_000) is None


@pytest.mark.parametrize("name", ["seismic", "elasticsearch"])
def test_other_dialects_say_what_to_take(name: str) -> None:
    reason = PassageField(dialect_named(name)).unsuitable_because(30_000)
    assert reason is not None
    assert "--dialect rank_features" in reason


def test_the_best_passage_counts_and_must_be_of_the_model() -> None:
    dialect = dialect_of(META)
    assert isinstance(dialect, PassageField)
    query = dialect.scored_by("vec", VECTOR, FINGERPRINT, shown={"size": 1})["nested"]
    assert (query["path"], query["score_mode"], query["inner_hits"]) == ("vec", "max", {"size": 1})
    inner = query["query"]["bool"]
    assert inner["filter"] == [dialect.inner.presence_filter("vec.vector", FINGERPRINT)]
    assert inner["should"] == [dialect.inner.sparse_query("vec.vector", VECTOR)]
    assert "inner_hits" not in dialect.scored_by("vec", VECTOR, FINGERPRINT)["nested"]
    assert dialect.presence_filter("vec", FINGERPRINT)["nested"]["path"] == "vec"
    assert dialect.term_of("u%2Es%2E", VECTOR) == "u.s."


def test_a_query_of_many_terms_keeps_the_heaviest() -> None:
    many = SparseVector(
        tuple(range(1_500)), tuple(1.0 + number for number in range(1_500)), tuple(f"t{n}" for n in range(1_500))
    )
    query = dialect_of(META).sparse_query("vec", many)["nested"]["query"]
    assert len(query["bool"]["should"]) == MAX_CLAUSES
    assert dialect_of(META).sparse_query("vec", SparseVector())["nested"]["query"] == {"match_none": {}}
