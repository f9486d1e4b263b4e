"""A run from the command line: it is stopped by signals, and what it has done is printed, come what may."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
from typing import cast

import orjson
import pytest
import typer
from rich.console import Console

from sidecar.cli.output import letters_path, print_json, print_json_line, say
from sidecar.cli.running import StoppableSource, Tools, until_read
from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reading import Source
from sidecar.cluster.reconcile import ReconcileSummary
from sidecar.engine import Engine
from sidecar.errors import DocumentsNotWritten
from tests.support.terminals import in_terminal


class Scripted:
    """A run that writes two documents, and then ends, fails, or waits until it is stopped."""

    load_visible = True

    def __init__(self, *, fails: bool = False, waits: bool = False, deaf: bool = False) -> None:
        self.summary = ReconcileSummary()
        self.stops = 0
        self._fails, self._waits, self._deaf = fails, waits, deaf
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.stops += 1
        if not self._deaf:
            self._stopping.set()

    def hear(self) -> None:
        self._stopping.set()

    async def run(self) -> ReconcileSummary:
        self.summary = ReconcileSummary(scanned=3, missing=2, written=2, seconds=1.0)
        if self._waits:
            await self._stopping.wait()
        if self._fails:
            raise DocumentsNotWritten("1 was left.")
        return self.summary


def tools(told: io.StringIO) -> Tools:
    nowhere = object()
    return Tools(
        cast("Engine", nowhere),
        cast("AsyncSidecarClient", nowhere),
        DeadLetters(None),
        lambda *_: None,
        Console(file=told, width=200),
    )


async def carried_out(run: Scripted, *, as_json: bool = False) -> tuple[str, bool]:
    """What was printed on standard error, and whether the block was entered."""
    told, entered = io.StringIO(), False
    try:
        async with tools(told).carrying_out(run, as_json=as_json):
            entered = True
    except DocumentsNotWritten:
        pass
    return told.getvalue(), entered


async def test_a_run_is_printed_and_what_follows_is_done() -> None:
    told, entered = await carried_out(Scripted())
    assert entered
    assert told.startswith("scanned 3, found 2 (missing 2, outdated 0, changed 0): written 2 ")


async def test_a_run_that_left_something_is_printed_too() -> None:
    told, entered = await carried_out(Scripted(fails=True))
    assert not entered
    assert "written 2" in told


async def test_a_user_who_may_not_see_the_load_is_told() -> None:
    run = Scripted()
    run.load_visible = False
    told, _ = await carried_out(run)
    assert "only refused writes (429) slowed the run down" in " ".join(told.split())


async def test_a_summary_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = await carried_out(Scripted(), as_json=True)
    assert told == ""
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert orjson.loads(line) == {
        "scanned": 3,
        "found": 2,
        "missing": 2,
        "outdated": 0,
        "changed": 0,
        "written": 2,
        "without_vector": 0,
        "truncated": 0,
        "unneeded": 0,
        "gone": 0,
        "failed": 0,
        "left": 0,
        "held_back_seconds": 0.0,
        "seconds": 1.0,
        "documents_per_second": 2.0,
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_a_run_in_an_orderly_way(hangups: None, number: signal.Signals) -> None:
    run = Scripted(waits=True)
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), number)
    told, entered = await carried_out(run)
    assert (run.stops, entered) == (1, True)
    assert "written 2" in told
    assert not asyncio.get_running_loop().remove_signal_handler(number), "it is as it was"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_stops_it_at_once(number: signal.Signals) -> None:
    run, told = Scripted(waits=True, deaf=True), io.StringIO()
    for wait in (0.01, 0.05):
        asyncio.get_running_loop().call_later(wait, os.kill, os.getpid(), number)
    with pytest.raises(typer.Exit) as ended:
        async with tools(told).carrying_out(run, as_json=False):
            raise AssertionError("What follows a run that was cut off is not done.")
    assert ended.value.exit_code == 128 + number
    assert run.stops == 2
    assert "written 2" in told.getvalue(), "what is done is told all the same"


async def test_a_shell_that_passes_the_hangup_on_does_not_cut_the_run_off(hangups: None) -> None:
    run = Scripted(waits=True, deaf=True)
    loop = asyncio.get_running_loop()
    for wait in (0.01, 0.03):
        loop.call_later(wait, os.kill, os.getpid(), signal.SIGHUP)
    loop.call_later(0.1, run.hear)
    told, entered = await carried_out(run)
    assert (run.stops, entered) == (2, True)
    assert "written 2" in told


IN_TERMINAL = """
import asyncio, sys
from rich.console import Console
from sidecar.cli.running import until_stopped

async def main():
    stopping = asyncio.Event()

    async def work():
        print("under way", flush=True)
        await stopping.wait()
        Console(stderr=True).print("what was done")

    await until_stopped(work(), stopping.set)

asyncio.run(main())
sys.exit(3)
"""


def test_a_run_whose_terminal_is_closed_comes_to_its_own_end() -> None:
    with in_terminal(["-c", IN_TERMINAL], os.environ) as terminal:
        assert terminal.line() == b"under way\r\n"
        terminal.close()
        # A line that can't be written would make it 1, and what is left in a buffer at the end 120.
        assert terminal.process.wait(60.0) == 3


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
async def test_a_sigterm_after_another_signal_is_no_impatience_and_a_second_one_is(
    hangups: None, first: signal.Signals
) -> None:
    run, loop = Scripted(waits=True, deaf=True), asyncio.get_running_loop()
    for wait, number in ((0.01, first), (0.03, signal.SIGTERM)):
        loop.call_later(wait, os.kill, os.getpid(), number)
    loop.call_later(0.1, run.hear)
    told, entered = await carried_out(run)
    assert (run.stops, entered) == (2, True)
    assert "written 2" in told
    run = Scripted(waits=True, deaf=True)
    for wait, number in ((0.01, first), (0.03, signal.SIGTERM), (0.05, signal.SIGTERM)):
        loop.call_later(wait, os.kill, os.getpid(), number)
    with pytest.raises(typer.Exit) as ended:
        await carried_out(run)
    assert ended.value.exit_code == 128 + signal.SIGTERM


async def test_a_run_started_by_nohup_hears_no_hangup(hangups: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = Scripted(waits=True)
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGHUP)
    asyncio.get_running_loop().call_later(0.1, run.hear)
    _, entered = await carried_out(run)
    assert (run.stops, entered) == (0, True)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "it is as it was"


async def test_a_run_that_is_cancelled_is_cancelled() -> None:
    task = asyncio.create_task(carried_out(Scripted(waits=True)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


LINES = b'{"_id": "1"}\n{"_id": "2"}\n{"_id": "3"}\n'


def documents(size: int | None = len(LINES)) -> StoppableSource:
    return StoppableSource(Source(io.BytesIO(LINES), "_id", size), threading.Event())


def test_a_source_that_nobody_stops_is_read_to_its_end() -> None:
    source = documents()
    assert [len(source.take(2)) for _ in range(3)] == [2, 1, 0]
    assert (source.size, source.position, source.cut_short) == (len(LINES), len(LINES), False)


@pytest.mark.parametrize("size", [len(LINES), None])
def test_a_source_that_is_stopped_is_at_its_end(size: int | None) -> None:
    source = documents(size)
    assert len(source.take(2)) == 2
    source.stop()
    assert source.take(2) == []
    assert source.cut_short


@pytest.mark.parametrize(("size", "cut_short"), [(len(LINES), False), (None, True)])
def test_a_source_stopped_after_its_last_document_is_whole_if_its_size_is_known(
    size: int | None, cut_short: bool
) -> None:
    source = documents(size)
    assert len(source.take(3)) == 3
    source.stop()
    assert source.take(3) == []
    assert source.cut_short is cut_short


async def test_a_run_over_a_source_that_was_stopped_says_how_to_go_on() -> None:
    source = documents()

    async def run() -> None:
        assert len(source.take(1)) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert source.take(1) == []

    async def run_and_fail() -> None:
        await run()
        raise DocumentsNotWritten("1 of 1 documents were not written.")

    with pytest.raises(DocumentsNotWritten, match=r"stopped before all documents were read.*nothing is there twice\.$"):
        await until_read(run(), source)
    source = documents()
    with pytest.raises(DocumentsNotWritten, match=r"stopped before.* 1 of 1 documents were not written\.$"):
        await until_read(run_and_fail(), source)


async def test_a_run_over_a_whole_source_ends_as_it_ends() -> None:
    source = documents()

    async def run() -> None:
        while source.take(2):
            pass

    await until_read(run(), source)

    async def fail() -> None:
        raise DocumentsNotWritten("1 of 1 documents were not written.")

    with pytest.raises(DocumentsNotWritten, match=r"^1 of 1"):
        await until_read(fail(), documents())


def test_sentences_are_never_cut_and_never_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "index-1 has 3 documents " * 20
    say(sentence)
    assert capsys.readouterr().err == f"{sentence}\n"


def test_json_is_indented_or_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})
    print_json_line({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n{"a":[1]}\n'


def test_dead_letters_are_named_after_the_index() -> None:
    assert letters_path("a/b").name.startswith("dead-letters-a_b-")
    assert letters_path("a").suffix == ".jsonl"
