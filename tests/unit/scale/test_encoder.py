"""The encoder without a server, and the tables its vectors travel in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from pyarrow import parquet

from sidecar.bundle import Bundle
from sidecar.cluster.documents import text_hash
from sidecar.domain import Side, WindowPolicy, Windows
from sidecar.errors import WrongModelKind
from sidecar.inference.service import InferenceService
from sidecar.scale.columns import encoded_rows, encoded_table, rows
from sidecar.scale.encoder import CorpusEncoder, EncodedRow
from sidecar.scale.reading import Row
from sidecar.scale.sinks import ParquetSink
from sidecar.settings import Settings


def row(name: str, text: str, **more: object) -> Row:
    return Row(name, orjson.dumps({"title": name, "text": text, **more}), 7)


@pytest.fixture
def encoder(tiny_sparse_bundle: Path) -> Iterator[CorpusEncoder]:
    found = CorpusEncoder(tiny_sparse_bundle, ("text",))
    yield found
    found.close()


def test_its_vectors_are_those_of_the_sidecar(encoder: CorpusEncoder, tiny_sparse_bundle: Path) -> None:
    texts = ["what the search says", "the query and the document"]
    service = InferenceService.load([Bundle.open(tiny_sparse_bundle)], Settings(threads=1))
    try:
        wanted = asyncio.run(service.encode(texts, side=Side.DOCUMENT, return_terms=True)).encodings
    finally:
        service.close()
    found = encoder.encode([row("a", texts[0]), row("b", texts[1])])
    assert [one.vector and dict(one.vector) for one in found] == [
        pytest.approx(dict(one.vector), rel=1e-4) for one in wanted
    ]
    assert [one.text_hash for one in found] == [text_hash(text) for text in texts]
    assert encoder.fingerprint == Bundle.open(tiny_sparse_bundle).fingerprint


def test_a_bad_document_costs_nothing_but_itself(encoder: CorpusEncoder) -> None:
    found = encoder.encode(
        [
            row("good", "the search"),
            Row(None, None, 2, "MALFORMED_LINE", "No valid JSON."),
            row("blank", " "),
            row("large", "search " * 200_000),
            Row("surrogate", b'{"text": "\\ud800"}'.replace(b"\\ud800", b"x\\u0000y")),
            row("last", "the document"),
        ]
    )
    assert [(one.stage, one.reason) for one in found[:4]] == [
        ("", ""),
        ("read", "MALFORMED_LINE"),
        ("", ""),
        ("encode", "TEXT_TOO_LARGE"),
    ]
    assert found[2].vector is None
    assert not found[2].failed
    assert found[2].text_hash == text_hash("")
    assert found[5].vector is not None


def test_long_texts_are_refused_one_by_one(tiny_sparse_bundle: Path) -> None:
    strict = CorpusEncoder(tiny_sparse_bundle, ("text",), windows=Windows(WindowPolicy.REFUSE))
    try:
        found = strict.encode([row("short", "the search"), row("long", "search query " * 400), row("other", "query")])
    finally:
        strict.close()
    assert [one.reason for one in found] == ["", "TEXT_TOO_LONG", ""]
    assert [one.vector is not None for one in found] == [True, False, True]


def test_a_cross_encoder_encodes_nothing(tiny_cross_encoder_bundle: Path) -> None:
    with pytest.raises(WrongModelKind):
        CorpusEncoder(tiny_cross_encoder_bundle, ("text",))


def test_rows_come_back_from_their_table(encoder: CorpusEncoder) -> None:
    encoded = encoder.encode([row("a", "the search"), Row(None, None, 3, "MISSING_ID", "No id."), row("blank", "")])
    back = encoded_rows(encoded_table(encoded, 3.0))
    assert [(one.id, one.line, one.text_hash, one.stage, one.reason) for one in back] == [
        (one.id, one.line, one.text_hash, one.stage, one.reason) for one in encoded
    ]
    assert back[0].vector is not None
    assert encoded[0].vector is not None
    assert dict(back[0].vector) == pytest.approx(dict(encoded[0].vector), rel=1e-6)
    assert back[0].vector.terms == encoded[0].vector.terms
    assert back[1].vector is back[2].vector is None
    assert sum(encoded_table(encoded, 3.0)["seconds"].to_pylist()) == pytest.approx(3.0)


def test_rows_of_reading_come_back(tmp_path: Path) -> None:
    import pyarrow

    table = pyarrow.Table.from_pylist(
        [
            {"id": "a", "document": b"{}", "line": None, "reason": "", "message": ""},
            {"id": None, "document": None, "line": 4, "reason": "MISSING_ID", "message": "No id."},
        ]
    )
    assert rows(table) == [Row("a", b"{}"), Row(None, None, 4, "MISSING_ID", "No id.")]


def test_a_batch_that_is_written_twice_is_there_once(encoder: CorpusEncoder, tmp_path: Path) -> None:
    encoded = encoder.encode([row("a", "the search", n=1), row("blank", "")])
    sink = ParquetSink(tmp_path / "out", encoder.fingerprint)
    assert sink.write(encoded) == sink.write(encoded) == [None] * len(encoded)
    assert sink.write([]) == []
    (file,) = (tmp_path / "out").iterdir()
    table = parquet.read_table(file)
    assert table.schema.metadata[b"splade_sidecar_fingerprint"].decode() == encoder.fingerprint
    first, second = table.to_pylist()
    assert orjson.loads(first["document"]) == {"title": "a", "text": "the search", "n": 1}
    assert first["text_hash"] == text_hash("the search")
    assert len(first["terms"]) == len(first["weights"]) == len(first["term_ids"]) > 0
    assert second["terms"] is None


def test_a_failed_row_says_so() -> None:
    assert EncodedRow("a", None, reason="MISSING_ID").failed
    assert not EncodedRow("a", b"{}").failed
