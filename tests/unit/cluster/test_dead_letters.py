"""The file of what could not be written."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import orjson
import pytest

from sidecar.cluster import DeadLetters
from sidecar.cluster.dead_letters import locked
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


def lines_of(file: Path) -> list[int]:
    return [orjson.loads(text)["line"] for text in file.read_bytes().splitlines()]


def test_letters_go_on_in_the_file_that_has_taken_the_place_of_theirs(tmp_path: Path) -> None:
    """`sidecar retry` puts one there, or takes it away, while a `reconcile --follow` has it open."""
    file, other = tmp_path / "dead.jsonl", tmp_path / "dead.jsonl.retrying"
    with DeadLetters(file) as letters:
        letters.add(1, "d", "write", "r", "m", None)
        other.write_bytes(orjson.dumps({"line": 7}) + b"\n")
        other.replace(file)
        letters.add(2, "d", "write", "r", "m", None)
        assert lines_of(file) == [7, 2]
        file.unlink()
        letters.add(3, "d", "write", "r", "m", None)
        letters.add(4, "d", "write", "r", "m", None)
    assert lines_of(file) == [3, 4]


def test_a_letter_waits_for_whoever_puts_another_file_there(tmp_path: Path) -> None:
    file, other = tmp_path / "dead.jsonl", tmp_path / "other"
    other.write_bytes(orjson.dumps({"line": 7}) + b"\n")
    with DeadLetters(file) as letters:
        letters.add(1, "d", "write", "r", "m", None)
        adding = threading.Thread(target=letters.add, args=(2, "d", "write", "r", "m", None))
        with file.open("rb") as held, locked(held):
            adding.start()
            adding.join(0.2)
            assert adding.is_alive()
            other.replace(file)
        adding.join(30.0)
        assert not adding.is_alive()
    assert lines_of(file) == [7, 2]


def test_a_letter_begins_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    file.write_bytes(b'{"line": 1}')
    with DeadLetters(file) as letters:
        letters.add(2, "d", "write", "r", "m", None)
        letters.add(3, "d", "write", "r", "m", None)
    assert lines_of(file) == [1, 2, 3]


def test_what_is_no_file_takes_letters_too() -> None:
    with DeadLetters(Path(os.devnull)) as letters:
        letters.add(1, "d", "write", "r", "m", None)
        letters.add(2, "d", "write", "r", "m", None)
    assert letters.count == 2


def test_counting_alone(tmp_path: Path) -> None:
    with DeadLetters(None) as letters:
        letters.add(1, "d", "read", "r", "m", None)
    assert letters.count == 1


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with DeadLetters(tmp_path / "folder") as letters, pytest.raises(EngineError, match="can't be written"):
        letters.add(1, "d", "read", "r", "m", None)
