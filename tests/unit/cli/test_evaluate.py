"""What `sidecar evaluate` refuses before it measures for hours, and how it ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sidecar.cli import main as door
from sidecar.cli.evaluation_files import EvaluationFiles
from sidecar.cli.meanwhile import until_terminated
from sidecar.errors import EvaluationError
from sidecar.evaluation import EvaluationReport
from sidecar.search import Profile

NOBODY = "http://127.0.0.1:1"


def _write(folder: Path, name: str = "d1") -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": name, "text": "wolves"}) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "wolf"}\n')
    (folder / "qrels" / "test.tsv").write_text(f"q1\t{name}\t1\n")
    return folder


def _profile(name: str) -> Profile:
    return Profile.parse({"name": name, "retrievers": [{"kind": "lexical"}]})


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        door.main(["evaluate", "--engine", NOBODY, "--sidecar", "127.0.0.1:1", "--profiles", "lexical", *arguments])
    assert left.value.code == 1
    return capsys.readouterr().err


def test_files_that_can_not_be_written_are_found_before_the_cluster_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(_write(tmp_path / "animals"))
    (tmp_path / "file").touch()
    assert "The runs can't be written to" in _said(capsys, "--collection", folder, "--runs", str(tmp_path / "file"))
    assert "The report" in _said(capsys, "--collection", folder, "--json", str(tmp_path))
    assert NOBODY in _said(capsys, "--collection", folder, "--json", str(tmp_path / "r.json"), "--runs", str(tmp_path))
    assert (tmp_path / "animals").is_dir()


def test_a_folder_given_twice_is_no_second_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(_write(tmp_path / "animals"))
    assert "Two collections are called animals" in _said(capsys, "--collection", folder, "--collection", folder)


def test_a_recall_of_fewer_hits_than_its_name_says_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(_write(tmp_path / "animals"))
    assert "R@100 is the recall of the first 10 hits" in _said(capsys, "--collection", folder, "--depth", "10")
    assert "R@100" not in _said(capsys, "--collection", folder)


def test_ids_that_are_no_columns_hinder_runs_alone(tmp_path: Path) -> None:
    EvaluationFiles(tmp_path / "r.json", None).check(["animals"], ["d 1"], [_profile("x")])
    with pytest.raises(EvaluationError, match="'d 1' is no column"):
        EvaluationFiles(None, tmp_path / "runs").check(["animals"], ["d 1"], [_profile("x")])
    assert not (tmp_path / "runs").exists()


def test_two_profiles_of_one_run_file(tmp_path: Path) -> None:
    files = EvaluationFiles(None, tmp_path / "runs")
    files.check(["animals"], ["q1", "d1"], [_profile("a/x"), _profile("b/x")])
    assert (tmp_path / "runs" / "animals").is_dir()
    with pytest.raises(EvaluationError, match="Rename a profile"):
        files.check(["animals"], ["q1", "d1"], [_profile("a/x"), _profile("a x")])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_lets_the_work_clean_up_and_is_told_by_the_exit_code(
    hangups: None, number: signal.Signals
) -> None:
    cleaned: list[str] = []

    async def work() -> EvaluationReport:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60.0)
        finally:
            # The shell of a closed terminal sends a second one.
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
            cleaned.append("index deleted")
        raise AssertionError("The signal did not come.")

    with pytest.raises(typer.Exit) as left:
        await until_terminated(work())
    assert left.value.exit_code == 128 + number
    assert cleaned == ["index deleted"]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_second_sigterm_ends_the_process_on_the_spot(hangups: None) -> None:
    code = """
import asyncio, os, signal
from sidecar.cli.meanwhile import until_terminated

async def work():
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(60.0)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        print("cleaning", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60.0)

asyncio.run(until_terminated(work()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60.0)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "cleaning\n", "")


async def test_another_cancellation_stays_one() -> None:
    async def work() -> EvaluationReport:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await until_terminated(work())
