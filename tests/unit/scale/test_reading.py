"""The parts of a corpus: together they hold every document once, wherever the cuts fall."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import InvalidInput
from sidecar.scale.plan import Cluster, FromFiles, FromIndex, ScalePlan, ToIndex, ToParquet
from sidecar.scale.reading import Row, parts_of, read_part

LINES = st.lists(
    st.one_of(
        st.text(max_size=30).map(lambda text: {"text": text}),
        st.just(None),
    ),
    max_size=20,
)


def rows_of(source: FromFiles) -> list[Row]:
    return [row for part in parts_of(source) for row in read_part(part, source)]


@given(lines=LINES, part_bytes=st.integers(1, 200), ending=st.booleans())
def test_wherever_a_file_is_cut_each_line_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, str] | None], part_bytes: int, ending: bool
) -> None:
    file = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    written = [b"" if one is None else orjson.dumps({"_id": f"d{n}", **one}) for n, one in enumerate(lines)]
    file.write_bytes(b"\n".join(written) + (b"\n" if ending else b""))
    found = rows_of(FromFiles((file,), part_bytes=part_bytes))
    assert [row.id for row in found] == [f"d{n}" for n, one in enumerate(lines) if one is not None]
    assert [orjson.loads(row.document or b"") for row in found] == [one for one in lines if one is not None]


def test_a_bad_line_says_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_bytes(b'{"_id": "a", "text": "one"}\n{broken\n{"text": "no id"}\n')
    whole = rows_of(FromFiles((file,)))
    assert [(row.line, row.reason) for row in whole] == [(1, ""), (2, "MALFORMED_LINE"), (3, "MISSING_ID")]
    assert all(row.message.endswith(" (in corpus.jsonl)") for row in whole if row.reason)
    cut = rows_of(FromFiles((file,), part_bytes=10))
    assert [row.reason for row in cut] == ["", "MALFORMED_LINE", "MISSING_ID"]
    assert "from byte 28 on" in cut[1].message
    assert all(row.line is None for row in cut)


def test_a_packed_file_is_never_cut(tmp_path: Path) -> None:
    lines = b"".join(orjson.dumps({"_id": f"d{n}", "text": f"text {n}"}) + b"\n" for n in range(500))
    file = tmp_path / "corpus.jsonl.gz"
    file.write_bytes(gzip.compress(lines))
    for path in (file, tmp_path):
        source = FromFiles((path,), part_bytes=100)
        assert [(part.path, part.end) for part in parts_of(source, workers=4)] == [(file, None)]
        assert [row.id for row in rows_of(source)] == [f"d{n}" for n in range(500)]


@pytest.mark.parametrize("name", ["corpus.jsonl.zst", "corpus.zip", "corpus.parquet.gz"])
def test_what_is_packed_otherwise_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"any")
    with pytest.raises(InvalidInput, match="unpack it"):
        parts_of(FromFiles((file,)))


@pytest.mark.parametrize("part_bytes", [2, 10, 30, 1_000])
def test_a_byte_order_mark_costs_no_document_wherever_a_file_is_cut(tmp_path: Path, part_bytes: int) -> None:
    file = tmp_path / "corpus.jsonl"
    lines = [orjson.dumps({"_id": f"d{n}", "text": "one"}) + b"\n" for n in range(3)]
    file.write_bytes(codecs.BOM_UTF8 + b"".join([*lines, b"{broken\n"]))
    found = rows_of(FromFiles((file,), part_bytes=part_bytes))
    assert [row.id for row in found] == ["d0", "d1", "d2", None]
    start = len(codecs.BOM_UTF8 + b"".join(lines))
    assert found[-1].line == 4 or f"from byte {start} on" in found[-1].message


@pytest.mark.parametrize(("workers", "parts"), [(1, 4), (2, 6), (64, 6)])
def test_a_file_is_cut_for_all_workers(tmp_path: Path, workers: int, parts: int) -> None:
    """Six megabytes: four parts for one worker, and none below a megabyte however many there are."""
    file = tmp_path / "corpus.jsonl"
    line = orjson.dumps({"_id": "d", "text": "x" * 1_000}) + b"\n"
    file.write_bytes(line * (6 * 1_048_576 // len(line)))
    found = parts_of(FromFiles((file,)), workers)
    assert len(found) == parts
    source = FromFiles((file,))
    assert sum(1 for part in found for _ in read_part(part, source)) == 6 * 1_048_576 // len(line)


def test_tables_are_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "corpus.csv"
    file.write_text("_id,text\na,one\nb,two\n")
    source = FromFiles((file,), part_bytes=4)
    assert len(parts_of(source)) == 1
    assert [row.id for row in rows_of(source)] == ["a", "b"]


def test_a_folder_is_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "a", "text": "one"}\n')
    assert [row.id for row in rows_of(FromFiles((tmp_path,)))] == ["a"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        parts_of(FromFiles((tmp_path / "absent.jsonl",)))


def test_an_index_has_a_part_per_slice() -> None:
    cluster = Cluster("http://127.0.0.1:9200", password="secret")
    assert [part.part for part in parts_of(FromIndex(cluster, "articles", slices=3))] == [0, 1, 2]
    assert "secret" not in repr(cluster)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: FromFiles(()),
        lambda: FromFiles((Path("a"),), part_bytes=0),
        lambda: FromIndex(Cluster("http://127.0.0.1:9200"), "articles", slices=0),
        lambda: ScalePlan(FromFiles((Path("a"),)), ToParquet(Path("b")), Path("c"), threads=0),
    ],
)
def test_plans_that_make_no_sense(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        wrong()


def test_an_index_is_not_encoded_onto_itself() -> None:
    cluster = Cluster("http://127.0.0.1:9200")
    with pytest.raises(InvalidInput, match="reconcile"):
        ScalePlan(FromIndex(cluster, "articles"), ToIndex(cluster, "articles"), Path("bundle"))
