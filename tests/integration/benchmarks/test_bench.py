"""`sidecar bench` as it is typed, at sizes that say nothing about speed, with tiny models and without peers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.main import command_line

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(tiny_idf_bundle: Path, tiny_cross_encoder_bundle: Path, tmp_path: Path, monkeypatch):
    """Run rows or groups, and return their results by name."""
    monkeypatch.delenv("SIDECAR_COLLECTIONS", raising=False)

    def run(*only: str) -> dict[str, dict]:
        chosen = [part for name in only for part in ("--only", name)]
        models = ["--model", str(tiny_idf_bundle), "--model", str(tiny_cross_encoder_bundle)]
        folders = ["--out", str(tmp_path / "out"), "--peers", str(tmp_path / "peers"), "--checkpoints", str(tmp_path)]
        done = CliRunner().invoke(command_line(), ["bench", "--quick", "--threads", "1", *chosen, *models, *folders])
        assert done.exit_code == 0, done.output
        report = json.loads((tmp_path / "out" / "results.json").read_text())
        assert report["machine"]["cores"] >= 1
        assert "onnxruntime" in report["versions"]
        assert (tmp_path / "out" / "results.svg").read_text().startswith("<?xml")
        return {result["name"]: result for result in report["results"]}

    return run


def test_rows_of_the_sidecar_alone(bench) -> None:
    results = bench("query", "overhead", "soak.growth")
    assert set(results) == {"query.inside_p50", "query.grpc_p50", "query.grpc_p99", "overhead.added_p50", "soak.growth"}
    for name in ("query.inside_p50", "query.grpc_p50", "overhead.added_p50"):
        assert results[name]["value"] is not None, results[name]
        assert results[name]["holds"] in (True, False)
    assert results["query.inside_p50"]["value"] <= results["query.grpc_p50"]["value"]


def test_rows_against_peers_say_what_is_missing(bench) -> None:
    results = bench("rerank")
    assert results["rerank.p50"]["value"] > 0
    assert results["rerank.seen_before"]["value"] > 0
    missing = results["rerank.over_infinity"]
    assert missing["value"] is None
    assert any(way in missing["note"] for way in ("--install-peers", "--checkpoints")), missing["note"]
    assert results["rerank.over_infinity"]["holds"] is None


def test_one_row_starts_no_peer_that_only_others_need(bench, monkeypatch) -> None:
    from benchmarks.bench import Bench

    asked: list[str] = []
    start = Bench.start

    def noted(self, stack, wanted):
        peers = list(wanted)
        asked.extend(name for name, _, _ in peers)
        return start(self, stack, peers)

    monkeypatch.setattr(Bench, "start", noted)
    assert bench("encode.of_bare_loop")["encode.of_bare_loop"]["value"] > 0
    assert asked == ["bare-loop"]
    assert set(bench("encode.over_torch", "rerank.p50")) == {"encode.over_torch", "rerank.p50"}
    assert asked == ["bare-loop", "torch-encoder"]


def test_rows_of_the_cluster(bench, opensearch, monkeypatch) -> None:
    monkeypatch.setenv("SIDECAR_BENCH_ENGINE", opensearch.url)
    results = bench("indexing", "backfill", "search")
    measured = {name for name, result in results.items() if result["value"] is not None}
    assert measured == set(results), [result["note"] for result in results.values() if result["value"] is None]
    # Sixty documents are mostly overhead: nothing is said about their sizes.
    assert results["search.source_size"]["value"] > 0.0


def test_a_run_that_is_told_to_end_leaves_no_process_behind(tiny_idf_bundle: Path, tmp_path: Path) -> None:
    """It left the sidecar that it had started, with the port that that had taken."""
    command = [sys.executable, "-m", "sidecar", "bench", "--only", "soak.growth", "--soak-minutes", "5"]
    options = ["--model", str(tiny_idf_bundle), "--out", str(tmp_path / "out"), "--threads", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "SIDECAR_COLLECTIONS"}
    with subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL) as run:
        served = _soon(lambda: [child for child in _children(run.pid) if "serve" in _words(child)])
        run.terminate()
        assert run.wait(timeout=60) == 128 + signal.SIGTERM
    assert not [child for child in served if "serve" in _words(child)]


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _words(process: int) -> list[str]:
    """The command line of a process, empty where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _soon(look: Callable[[], list[int]]) -> list[int]:
    for _ in range(1_200):
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("nothing was started within a minute")


def test_every_row_is_listed() -> None:
    from benchmarks.rows import ROWS

    listed = CliRunner().invoke(command_line(), ["bench", "--list"]).output
    assert all(row.name in listed for row in ROWS)


def test_an_unknown_row_is_refused() -> None:
    done = CliRunner().invoke(command_line(), ["bench", "--only", "warp"])
    assert done.exit_code == 1
    assert "--list" in str(done.exception)
