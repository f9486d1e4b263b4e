"""Documents from JSON lines, good and bad."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster import reading
from sidecar.cluster.reading import Record, Source, Unreadable, open_source
from sidecar.errors import InvalidInput

lines = st.one_of(
    st.binary(max_size=60).filter(lambda data: b"\n" not in data and b"\r" not in data),
    st.dictionaries(st.sampled_from(["_id", "title", "text", "n"]), st.text(max_size=10)).map(orjson.dumps),
)


def read(data: bytes, id_field: str = "_id") -> list[Record | Unreadable]:
    return list(Source(io.BytesIO(data), id_field, len(data)))


@given(st.lists(lines, max_size=20))
def test_every_line_is_a_record_or_told_why_not(data: list[bytes]) -> None:
    found = read(b"\n".join(data))
    assert [item.line for item in found] == [place for place, line in enumerate(data, start=1) if line.strip()]


@given(st.lists(lines, max_size=20), st.integers(1, 7))
def test_taking_in_blocks_changes_nothing(data: list[bytes], count: int) -> None:
    source = Source(io.BytesIO(b"\n".join(data)), "_id", None)
    blocks = []
    while block := source.take(count):
        assert len(block) <= count
        blocks += block
    assert blocks == read(b"\n".join(data))
    assert source.position == len(b"\n".join(data))


def test_a_document_keeps_its_fields_without_the_id() -> None:
    (record,) = read(b'{"_id": "d1", "title": "T", "tags": ["a"], "n": 1.5}\n')
    assert record == Record(1, "d1", {"title": "T", "tags": ["a"], "n": 1.5})


def test_an_id_field_of_ones_own_stays_in_the_document() -> None:
    (record,) = read(b'{"sku": 42, "_id": "x", "text": "t"}', "sku")
    assert record == Record(1, "42", {"sku": 42, "text": "t"})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"_id": "1", "text": ', "MALFORMED_LINE"),
        (b"[1, 2]", "MALFORMED_LINE"),
        (b'"text"', "MALFORMED_LINE"),
        (b'{"_id": "1", "text": "\xff\xfe"}', "MALFORMED_LINE"),
        (b'{"_id": "1", "text": "\\ud800"}', "MALFORMED_LINE"),
        (b'{"_id": "1", "n": NaN}', "MALFORMED_LINE"),
        (b'{"text": "no id"}', "MISSING_ID"),
        (b'{"_id": ""}', "MISSING_ID"),
        (b'{"_id": true}', "MISSING_ID"),
        (b'{"_id": null}', "MISSING_ID"),
        (b'{"_id": ["1"]}', "MISSING_ID"),
    ],
)
def test_a_bad_line_says_why_and_harms_no_other(line: bytes, reason: str) -> None:
    found = read(b'{"_id": "a"}\n' + line + b'\n{"_id": "b"}')
    assert isinstance(found[1], Unreadable)
    assert (found[1].line, found[1].reason) == (2, reason)
    assert [item.id for item in (found[0], found[2])] == ["a", "b"]


def test_no_message_repeats_the_line() -> None:
    (found,) = read(b'{"_id": "1", "text": plutonium}')
    assert isinstance(found, Unreadable)
    assert "plutonium" not in found.message


def test_a_line_beyond_the_limit_is_skipped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 32)
    found = read(b'{"_id": "a"}\n{"_id": "b", "text": "' + b"x" * 100 + b'"}\n{"_id": "c"}\n')
    assert [getattr(item, "reason", None) for item in found] == [None, "LINE_TOO_LONG", None]
    assert [item.line for item in found] == [1, 2, 3]


def test_a_beir_folder_stands_for_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "1", "title": "", "text": "t", "metadata": {}}\n')
    with open_source(tmp_path) as source:
        assert source.size == (tmp_path / "corpus.jsonl").stat().st_size
        assert [item.id for item in source] == ["1"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(b'{"_id": "1"}\n')

    monkeypatch.setattr(sys, "stdin", Input)
    with open_source(Path("-")) as source:
        assert source.size is None
        assert [item.id for item in source] == ["1"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match="can't be read"), open_source(Path("/nowhere/corpus.jsonl")):
        pass
