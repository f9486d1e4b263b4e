"""Documents in packed files."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from sidecar.cluster.packed import check_packing
from sidecar.cluster.reading import SourceFormat, open_source, open_sources
from sidecar.cluster.records import Record, RecordSource, Unreadable
from sidecar.errors import InvalidInput

LINES = b"".join(b'{"_id": "d%d", "text": "%s"}\n' % (number, os.urandom(32).hex().encode()) for number in range(2_000))
ROWS = b"_id,text\nd1,a wolf\nd2,a bear\n"


def everything(source: RecordSource) -> list[Record | Unreadable]:
    found: list[Record | Unreadable] = []
    while taken := source.take(100):
        found += taken
    return found


def read(path: Path, kind: SourceFormat | None = None) -> list[tuple[str, object]]:
    with open_source(path, kind=kind) as source:
        found = everything(source)
    assert all(isinstance(one, Record) for one in found), found
    return [(one.id, one.fields["text"]) for one in found if isinstance(one, Record)]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("d.jsonl", LINES, None),
        ("d.csv", ROWS, None),
        ("d.tsv", ROWS.replace(b",", b"\t"), None),
        ("d.data", ROWS, SourceFormat.CSV),
        ("d", LINES, None),
    ],
)
@pytest.mark.parametrize("ending", [".gz", ".GZ"])
def test_a_packed_file_is_the_file(
    tmp_path: Path, name: str, data: bytes, kind: SourceFormat | None, ending: str
) -> None:
    plain = read(written(tmp_path / name, data), kind)
    assert read(written(tmp_path / f"{name}{ending}", gzip.compress(data)), kind) == plain
    assert len(plain) in {2, 2_000}


def test_files_that_were_packed_one_by_one_and_joined(tmp_path: Path) -> None:
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    path = written(tmp_path / "d.jsonl.gz", gzip.compress(LINES[:half]) + gzip.compress(LINES[half:]))
    assert len(read(path)) == 2_000


def test_packed_files_stand_beside_others_and_know_their_lines(tmp_path: Path) -> None:
    packed = written(tmp_path / "a.jsonl.gz", gzip.compress(LINES + b"no json\n"))
    with open_sources([packed, written(tmp_path / "b.jsonl", LINES)]) as source:
        assert source.size is None, "how much is packed is not known"
        found = everything(source)
    bad = [one for one in found if isinstance(one, Unreadable)]
    assert [(one.line, one.source) for one in bad] == [(2_001, str(packed))]
    assert len(found) == 4_001


def test_the_corpus_of_a_folder_may_be_packed(tmp_path: Path) -> None:
    written(tmp_path / "corpus.jsonl.gz", gzip.compress(LINES))
    assert len(read(tmp_path)) == 2_000
    written(tmp_path / "corpus.jsonl", b'{"_id": "1", "text": "unpacked"}')
    assert read(tmp_path) == [("1", "unpacked")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (LINES, "no gzip file"),
        (gzip.compress(LINES)[:-500], "cut off"),
        (gzip.compress(LINES)[:500] + b"\xff" * 100 + gzip.compress(LINES)[600:], "damaged"),
        (gzip.compress(LINES)[:-8] + b"\0" * 8, "damaged"),
    ],
)
def test_what_is_damaged_is_told(tmp_path: Path, data: bytes, why: str) -> None:
    path = written(tmp_path / "d.jsonl.gz", data)
    with pytest.raises(InvalidInput, match=f"d.jsonl.gz can't be unpacked: it is.*{why}") as raised:
        read(path)
    assert raised.value.field == "documents"


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    assert read(written(tmp_path / "d.jsonl.gz", gzip.compress(b""))) == []
    assert read(written(tmp_path / "e.jsonl.gz", b"")) == []


def test_a_pipe_that_nobody_waits_for_any_more_is_not_damaged(tmp_path: Path) -> None:
    pipe, ended = tmp_path / "d.jsonl.gz", threading.Event()
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        os.write(descriptor, gzip.compress(LINES[:2_000])[:200])
        with open_source(pipe, ended=ended) as source:
            threading.Timer(0.3, ended.set).start()
            assert all(isinstance(one, Record | Unreadable) for one in everything(source))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["d.zip", "d.jsonl.zst", "d.jsonl.BZ2", "d.xz", "d.tgz", "d.tar.gz", "d.7z"])
def test_other_packed_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, b"PK")
    for opening in (open_source(path), open_sources([written(tmp_path / "a.jsonl", LINES), path])):
        with pytest.raises(InvalidInput, match=r"is packed.*unpack it first") as raised, opening:
            pass
        assert name in raised.value.message
        assert raised.value.field == "documents"


@pytest.mark.parametrize(("name", "kind"), [("d.parquet.gz", None), ("d.gz", SourceFormat.PARQUET)])
def test_packed_parquet_is_refused(tmp_path: Path, name: str, kind: SourceFormat | None) -> None:
    path = written(tmp_path / name, gzip.compress(b"PAR1"))
    with pytest.raises(InvalidInput, match="Parquet in gzip"), open_source(path, kind=kind):
        pass


def test_a_format_that_is_named_is_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "d.parquet.gz", gzip.compress(LINES))
    check_packing(path, SourceFormat.JSONL)
    assert len(read(path, SourceFormat.JSONL)) == 2_000
