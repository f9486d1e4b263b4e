"""The first command of the README, as a newcomer types it, over a few of the modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from sidecar.cli.demo.questions import PROFILES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

QUESTION = "how do I parse command line arguments"
MODULES = "argparse,cmd,getopt,optparse,os,pathlib,shlex,shutil,subprocess"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("demo") / "out.json"
    result = subprocess.run(
        [sys.executable, "-m", "sidecar", "demo", "--modules", MODULES, "--json", str(out), QUESTION],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "140"},
        timeout=500,
        check=False,
    )
    return result, out


def test_it_answers_with_argparse_among_the_first_three(
    finished: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    result, out = finished
    assert result.returncode == 0, result.stdout + result.stderr
    report = orjson.loads(out.read_bytes())
    (question,) = report["questions"]
    assert question["text"] == QUESTION
    reranked = {answer["profile"]: answer for answer in question["answers"]}["sparse+rerank"]
    assert any(place["id"].startswith("argparse") for place in reranked["places"][:3]), reranked["places"]


def test_every_profile_answers_undegraded_with_timings(
    finished: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    report = orjson.loads(finished[1].read_bytes())
    assert report["corpus"]["documents"] > 100
    for answer in report["questions"][0]["answers"]:
        assert answer["profile"] in PROFILES
        assert answer["degraded"] is None
        assert answer["places"]
        assert answer["total_ms"] > 0
        assert (answer["rerank_ms"] > 0) == answer["profile"].endswith("+rerank")


def test_it_shows_the_rankings_and_how_terms_expanded(
    finished: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    report = orjson.loads(finished[1].read_bytes())
    expansion = report["questions"][0]["expansion"]
    assert expansion["own"]
    assert expansion["added"]
    printed = finished[0].stdout
    for expected in (QUESTION, "BM25", "sparse + rerank", "argparse", "query terms", "added by it"):
        assert expected in printed


def test_it_leaves_no_process_behind(finished: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    del finished
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sidecar demo --modules" not in listing
