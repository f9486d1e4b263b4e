"""The file of what could not be written."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sidecar.cluster import DeadLetters
from sidecar.errors import EngineError


def test_no_letter_makes_no_file(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl") as letters:
        assert letters.count == 0
    assert not (tmp_path / "dead.jsonl").exists()


def test_a_letter_is_on_disk_at_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "dead.jsonl"
    with DeadLetters(file) as letters:
        letters.add(3, "d1", "write", "mapper_parsing_exception", "no number", {"n": "x"})
        assert orjson.loads(file.read_bytes()) == {
            "line": 3,
            "id": "d1",
            "stage": "write",
            "reason": "mapper_parsing_exception",
            "message": "no number",
            "document": {"n": "x"},
        }
        letters.add(4, None, "read", "MALFORMED_LINE", "no JSON", None)
    assert letters.count == 2
    assert "document" not in orjson.loads(file.read_bytes().splitlines()[1])


def test_a_letter_says_in_which_file_its_line_is(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl", "shop") as letters:
        letters.add(4, None, "read", "MALFORMED_LINE", "no JSON", None, source="b.jsonl")
    letter = orjson.loads((tmp_path / "dead.jsonl").read_bytes())
    assert (letter["source"], letter["line"], letter["index"]) == ("b.jsonl", 4, "shop")


def test_letters_of_an_earlier_run_stay(tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    for line in (1, 2):
        with DeadLetters(file) as letters:
            letters.add(line, "d", "read", "r", "m", None)
    assert [orjson.loads(text)["line"] for text in file.read_bytes().splitlines()] == [1, 2]


def test_counting_alone(tmp_path: Path) -> None:
    with DeadLetters(None) as letters:
        letters.add(1, "d", "read", "r", "m", None)
    assert letters.count == 1


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with DeadLetters(tmp_path / "folder") as letters, pytest.raises(EngineError, match="can't be written"):
        letters.add(1, "d", "read", "r", "m", None)
