"""Which documents need a vector."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.documents import text_hash
from sidecar.cluster.reconcile.finding import Reason, complete_query, decide, incomplete_query, scanned_fields
from sidecar.domain import JsonObject
from sidecar.engine import DIALECTS, Dialect, IndexMeta, StoredDocument

META = IndexMeta(fingerprint="ab" * 32, bundle="starter", source_fields=("title", "text"))


def stored(source: JsonObject) -> StoredDocument:
    return StoredDocument("articles", "d1", 7, 1, source)


@pytest.mark.parametrize(
    ("text", "held", "has_vector", "reason"),
    [
        ("a lamp", None, False, Reason.MISSING),
        ("a lamp", None, True, Reason.MISSING),
        ("a lamp", text_hash("a lamp"), False, Reason.OUTDATED),
        ("a lamp", text_hash("a table"), False, Reason.OUTDATED),
        ("a lamp", text_hash("a table"), True, Reason.CHANGED),
        ("a lamp", text_hash(""), True, Reason.CHANGED),
        ("a lamp", text_hash("a lamp"), True, None),
        ("", None, False, Reason.MISSING),
        ("", text_hash(""), False, None),
        ("", text_hash(""), True, None),
        ("", text_hash("a lamp"), True, Reason.CHANGED),
        ("", text_hash("a lamp"), False, Reason.OUTDATED),
    ],
)
def test_what_is_decided(text: str, held: str | None, has_vector: bool, reason: Reason | None) -> None:
    source = {"text": text} if held is None else {"text": text, META.hash_field: held}
    finding = decide(stored(source), META, has_vector=has_vector)
    assert (finding.reason if finding else None) == reason
    if finding is not None:
        assert finding.text == text
        assert finding.hash == text_hash(text)
        assert finding.hash_before == held


@given(st.text(), st.text(), st.booleans())
def test_what_was_just_written_needs_nothing(title: str, text: str, has_vector: bool) -> None:
    first = decide(stored({"title": title, "text": text}), META, has_vector=False)
    assert first is not None
    after = stored({"title": title, "text": text, META.hash_field: first.hash})
    assert decide(after, META, has_vector=has_vector or bool(first.text)) is None


def test_the_vector_is_never_read() -> None:
    assert META.vector_field not in scanned_fields(META)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_the_two_queries_are_complements(dialect: Dialect) -> None:
    done = [
        dialect.presence_filter(META.vector_field, META.fingerprint),
        {"term": {META.hash_field: text_hash("")}},
    ]
    where: JsonObject = {"term": {"lang": "en"}}
    assert incomplete_query(META, dialect) == {"bool": {"must_not": done}}
    assert incomplete_query(META, dialect, where) == {"bool": {"must_not": done, "filter": [where]}}
    either = {"bool": {"should": done, "minimum_should_match": 1}}
    assert complete_query(META, dialect) == {"bool": {"filter": [either]}}
    assert complete_query(META, dialect, where) == {"bool": {"filter": [either, where]}}
