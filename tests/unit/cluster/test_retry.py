"""Reading dead letters back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import pytest

from sidecar.cluster import DeadLetters
from sidecar.cluster.records import Record
from sidecar.cluster.retry import Letter, LetterSource, read_letters
from sidecar.errors import InvalidInput


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Letters of two indices, of documents and of ids, one of an unreadable line, and one line that is no letter."""
    file = tmp_path / "dead.jsonl"
    with DeadLetters(file, "first") as written:
        written.add(1, "a", "encode", "TEXT_TOO_LARGE", "too large", {"text": "a"})
        written.add(2, None, "read", "MALFORMED_LINE", "no JSON", None)
        written.add(None, "b", "encode", "TEXT_TOO_LARGE", "too large", None, index="second", routing="r")
    with DeadLetters(file) as written:
        written.add(4, "c", "write", "mapper_parsing_exception", "no number", {"text": "c"})
    with file.open("ab") as more:
        more.write(b"\nnonsense\n[1]\n")
    return file


def test_letters_come_back_as_they_were_written(letters: Path) -> None:
    found = list(read_letters(letters))
    assert [(one.line, one.id, one.index, one.document) for one in found] == [
        (1, "a", "first", {"text": "a"}),
        (2, None, "first", None),
        (None, "b", "second", None),
        (4, "c", None, {"text": "c"}),
        (None, None, None, None),
        (None, None, None, None),
    ]
    assert [one.raw for one in found] == [line for line in letters.read_bytes().splitlines() if line]


def test_a_line_that_could_not_be_read_names_no_document() -> None:
    raw = orjson.dumps({"line": 3, "id": "x", "stage": "read", "reason": "MISSING_ID", "message": "none"})
    assert Letter.parse(raw).id is None


def test_a_document_that_is_tried_again_is_still_that_of_its_file(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl", "first") as written:
        written.add(7, "a", "write", "x", "y", {"text": "a"}, source="b.jsonl")
    with closing(LetterSource(tmp_path / "dead.jsonl", "first", None)) as source:
        assert source.take(2) == [Record(7, "a", {"text": "a"}, "b.jsonl")]


def test_documents_of_one_index(letters: Path) -> None:
    with closing(LetterSource(letters, "first", None)) as source, pytest.raises(InvalidInput, match="--index"):
        source.take(10)
    with closing(LetterSource(letters, "first", "first")) as source:
        assert source.take(1) == [Record(1, "a", {"text": "a"})]
        assert source.take(10) == [Record(4, "c", {"text": "c"})]
        assert source.take(10) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        list(read_letters(tmp_path / "none.jsonl"))


def test_letters_are_read_up_to_where_the_file_ended(letters: Path) -> None:
    end = letters.stat().st_size
    before = list(read_letters(letters))
    with DeadLetters(letters, "first") as more:
        more.add(9, "later", "write", "x", "y", {"text": "z"})
    assert list(read_letters(letters, end)) == before
    assert [one.id for one in read_letters(letters)][-1] == "later"
    with closing(LetterSource(letters, "first", "first", end)) as source:
        assert [one.id for one in source.take(10)] == ["a", "c"]


def test_a_last_line_without_its_end_is_a_letter(tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    file.write_bytes(b'{"line": 1, "id": "a", "index": "first", "document": {}}')
    end = file.stat().st_size
    with DeadLetters(file, "first") as more:
        more.add(9, "later", "write", "x", "y", {"text": "z"})
    assert [one.id for one in read_letters(file, end)] == ["a"]
