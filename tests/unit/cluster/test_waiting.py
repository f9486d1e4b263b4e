"""A reader that waits for a pipe ends when it is told to; everything else is read as ever."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cluster.reading import open_source
from sidecar.cluster.waiting import endable


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_what_arrives_is_read(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"one\ntwo\nthr")
    with open(pipe[0], "rb", closefd=False) as stream:
        arriving = endable(stream, threading.Event())
        assert (arriving.readline(), arriving.readline()) == (b"one\n", b"two\n")
        os.write(pipe[1], b"ee\n")
        assert arriving.readline() == b"three\n"


def test_who_waits_is_told_of_the_end(pipe: tuple[int, int]) -> None:
    ended, read = threading.Event(), list[bytes]()
    with open(pipe[0], "rb", closefd=False) as stream:
        arriving = endable(stream, ended)
        reader = threading.Thread(target=lambda: read.append(arriving.read()))
        reader.start()
        os.write(pipe[1], b"half a line")
        ended.set()
        reader.join(timeout=60)
        assert not reader.is_alive()
    assert read[0] in (b"", b"half a line")


def test_the_end_of_a_pipe_is_the_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"last\n")
    os.close(writing)
    with open(reading, "rb") as stream:
        assert list(endable(stream, threading.Event())) == [b"last\n"]


def test_standard_input_can_be_ended(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    with open(pipe[0], closefd=False) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with open_source(Path("-"), ended=ended) as source:
            os.write(pipe[1], b'{"_id": "1"}\n')
            assert len(source.take(1)) == 1
            ended.set()
            assert source.take(1) == []


def test_a_stream_in_memory_is_left_as_it_is() -> None:
    stream = io.BytesIO(b"x")
    assert endable(stream, threading.Event()) is stream


def test_a_named_pipe_can_be_ended_and_a_file_is_read_as_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    ended, writers = threading.Event(), list[int]()
    opener = threading.Thread(target=lambda: writers.append(os.open(tmp_path / "pipe.jsonl", os.O_WRONLY)))
    opener.start()
    with open_source(tmp_path / "pipe.jsonl", ended=ended) as source:
        opener.join(timeout=60)
        os.write(writers[0], b'{"_id": "1"}\n')
        assert len(source.take(1)) == 1
        ended.set()
        assert source.take(1) == []
    os.close(writers[0])
    (tmp_path / "file.jsonl").write_text('{"_id": "1"}\n')
    with open_source(tmp_path / "file.jsonl", ended=ended) as source:
        assert len(source.take(9)) == 1
