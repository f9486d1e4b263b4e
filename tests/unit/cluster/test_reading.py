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
from sidecar.cluster.reading import BYTE_ORDER_MARK, Source, open_source, open_sources
from sidecar.cluster.records import Record, Unreadable
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
    held = [line.removeprefix(BYTE_ORDER_MARK).strip() for line in data]
    assert [item.line for item in found] == [place for place, line in enumerate(held, start=1) if line]


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


def test_a_byte_order_mark_is_no_part_of_a_line() -> None:
    lines = [b'{"_id": "1", "title": "T"}\n', b'{"_id": "2"}\n']
    wanted = read(b"".join(lines))
    source = Source(io.BytesIO(BYTE_ORDER_MARK + b"".join(lines)), "_id", None)
    assert source.take(1) == wanted[:1]
    assert source.position == len(BYTE_ORDER_MARK + lines[0]), "offsets are those of the file"
    assert source.take(9) == wanted[1:]
    joined = [BYTE_ORDER_MARK + line for line in lines]
    assert read(b"".join(joined)) == wanted, "files with a mark each, one behind the other"
    assert read(BYTE_ORDER_MARK) == read(BYTE_ORDER_MARK + b"\n") == []


def test_a_byte_order_mark_within_a_line_is_told() -> None:
    (found,) = read(b" " + BYTE_ORDER_MARK + b'{"_id": "1"}')
    assert isinstance(found, Unreadable)


def test_every_record_says_in_which_file_it_is(tmp_path: Path) -> None:
    contents = {"a.jsonl": '{"_id": "1"}\n{broken\n', "b.jsonl": '[]\n{"x": 1}\n', "c.csv": "_id,text\n2,t\n3\n"}
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    with open_sources([tmp_path / name for name in contents]) as source:
        found = []
        while taken := source.take(2):
            found += taken
    assert [(item.source, item.line, item.id) for item in found] == [
        (str(tmp_path / "a.jsonl"), 1, "1"),
        (str(tmp_path / "a.jsonl"), 2, None),
        (str(tmp_path / "b.jsonl"), 1, None),
        (str(tmp_path / "b.jsonl"), 2, None),
        (str(tmp_path / "c.csv"), 2, "2"),
        (str(tmp_path / "c.csv"), 3, None),
    ]


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
        assert [(item.id, item.source) for item in source] == [("1", "-")]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match="can't be read"), open_source(Path("/nowhere/corpus.jsonl")):
        pass
