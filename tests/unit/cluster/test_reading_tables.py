"""Documents out of CSV and Parquet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sidecar.cluster.reading import SourceFormat, open_source, open_sources
from sidecar.cluster.reading_tables import CsvSource, ParquetSource
from sidecar.cluster.records import Record, Unreadable
from sidecar.errors import InvalidInput


def rows(data: bytes, id_field: str = "id", delimiter: str = ",") -> list[Record | Unreadable]:
    source = CsvSource(io.BytesIO(data), id_field, len(data), delimiter)
    read: list[Record | Unreadable] = []
    while taken := source.take(2):
        assert len(taken) <= 2
        read += taken
    return read


def test_a_row_is_a_document() -> None:
    data = b'id,title,text\n1,Lamp,"Long, with\nan arm"\n2,,plain\n'
    assert rows(data) == [
        Record(3, "1", {"id": "1", "title": "Lamp", "text": "Long, with\nan arm"}),
        Record(4, "2", {"id": "2", "text": "plain"}),
    ]


def test_tabs_byte_order_marks_and_blank_lines() -> None:
    data = "\ufeffid\ttext\n\na\tü, ö\n".encode()
    assert rows(data, delimiter="\t") == [Record(3, "a", {"id": "a", "text": "ü, ö"})]


def test_the_metadata_id_is_not_a_field() -> None:
    assert rows(b"_id,text\n7,x\n", "_id") == [Record(2, "7", {"text": "x"})]


def test_bad_rows_cost_only_themselves() -> None:
    read = rows(b'id,text\n1,a,b\n2\n,no id\n3,\xff\n4,"open" quote\n5,good\n')
    assert [type(one) for one in read] == [Unreadable] * 5 + [Record]
    reasons = [(one.line, one.reason) for one in read if isinstance(one, Unreadable)]
    assert reasons == [
        (2, "MALFORMED_LINE"),
        (3, "MALFORMED_LINE"),
        (4, "MISSING_ID"),
        (5, "MALFORMED_LINE"),
        (6, "MALFORMED_LINE"),
    ]
    assert read[-1] == Record(7, "5", {"id": "5", "text": "good"})


def test_long_fields_are_read() -> None:
    (record,) = rows(b"id,text\n1," + b"x" * 500_000 + b"\n")
    assert isinstance(record, Record)
    assert len(str(record.fields["text"])) == 500_000


@pytest.mark.parametrize("header", [b"id,id\n", b"id,\n", b"name,text\n", b'"id,text\n'])
def test_a_header_that_can_not_be_used(header: bytes) -> None:
    with pytest.raises(InvalidInput):
        rows(header)


def test_nothing_at_all() -> None:
    assert rows(b"") == []


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1),
            st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
        ),
        max_size=8,
    )
)
def test_what_csv_writes_is_what_is_read(table: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([("id", "text"), *table])
    read = rows(file.getvalue().encode())
    assert [(one.id, one.fields.get("text", "")) for one in read if isinstance(one, Record)] == table


def table_file(folder: Path, columns: dict[str, list[object]]) -> Path:
    path = folder / "documents.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=3)
    return path


def test_parquet_keeps_types_and_nesting(tmp_path: Path) -> None:
    path = table_file(
        tmp_path,
        {
            "_id": [1, 2],
            "text": ["a lamp", None],
            "price": [Decimal("1.50"), None],
            "seen": [datetime(2026, 1, 2, tzinfo=UTC), None],
            "tags": [["new", "old"], []],
            "size": [{"width": 2.5}, None],
        },
    )
    with open_source(path) as source:
        assert source.take(10) == [
            Record(
                1,
                "1",
                {
                    "text": "a lamp",
                    "price": "1.50",
                    "seen": "2026-01-02T00:00:00+00:00",
                    "tags": ["new", "old"],
                    "size": {"width": 2.5},
                },
                str(path),
            ),
            Record(2, "2", {"tags": []}, str(path)),
        ]
        assert source.take(10) == []
        assert source.position == source.size


def test_parquet_comes_in_portions(tmp_path: Path) -> None:
    path = table_file(tmp_path, {"id": [f"d{n}" for n in range(10)], "text": ["t"] * 10})
    source = ParquetSource(path, "id")
    taken = source.take(4)
    assert [one.id for one in taken] == ["d0", "d1", "d2", "d3"]
    assert source.size is not None
    assert 0 < source.position < source.size
    assert len(source.take(100)) == 6
    source.close()


def test_parquet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "documents.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InvalidInput, match="no Parquet file"), open_source(path):
        pass


def test_parquet_without_the_id(tmp_path: Path) -> None:
    path = table_file(tmp_path, {"name": ["a"]})
    with pytest.raises(InvalidInput, match="--id-field"), open_source(path):
        pass


def test_the_ending_says_what_it_is(tmp_path: Path) -> None:
    for name, data in {
        "a.csv": b"_id,text\n1,x\n",
        "a.TSV": b"_id\ttext\n1\tx\n",
        "a.jsonl": b'{"_id": 1, "text": "x"}',
        "a.ndjson": b'{"_id": 1, "text": "x"}',
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with open_source(path) as source:
            (record,) = source.take(5)
        assert isinstance(record, Record)
        assert (record.id, record.fields) == ("1", {"text": "x"})


def test_the_format_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "documents.txt"
    path.write_bytes(b"_id,text\n1,x\n")
    with open_source(path, kind=SourceFormat.CSV) as source:
        assert len(source.take(5)) == 1
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"_id\ttext\n1\tx\n")))
    with open_source(Path("-"), kind=SourceFormat.TSV) as source:
        assert len(source.take(5)) == 1
    with pytest.raises(InvalidInput, match="from a file"), open_source(Path("-"), kind=SourceFormat.PARQUET):
        pass


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"_id,text\n1,x\n2,y\n")
    (tmp_path / "b.jsonl").write_bytes(b"")
    (tmp_path / "c.jsonl").write_bytes(b'{"_id": "3", "text": "z"}\n{"_id": "4", "text": "z"}\n')
    paths = [tmp_path / name for name in ("a.csv", "b.jsonl", "c.jsonl")]
    with open_sources(paths) as source:
        assert source.size == sum(path.stat().st_size for path in paths)
        taken = [source.take(3) for _ in range(4)]
        assert source.position == source.size
    ids = [[one.id for one in part] for part in taken]
    assert ids == [["1", "2"], ["3", "4"], [], []]
    assert [one.line for one in taken[1]] == [1, 2], "lines are counted in each file"


def test_a_missing_file_is_told_before_the_first_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"_id,text\n1,x\n")
    with (
        pytest.raises(InvalidInput, match="no such file"),
        open_sources([tmp_path / "a.csv", tmp_path / "b.csv"]),
    ):
        pass
