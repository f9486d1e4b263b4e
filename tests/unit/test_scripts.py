"""The scripts' own logic."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.lib.no_integration_skips import OUT_OF_REACH, skipped_integration_tests

SCRIPTS = Path(__file__).parents[2] / "scripts"
CASES = """<testsuites><testsuite>
  <testcase classname="tests.integration.test_bulk" name="test_a"/>
  <testcase classname="{where}" name="test_b"><skipped message="no cluster"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("tests.integration.test_bulk", ["tests.integration.test_bulk::test_b: no cluster"]),
        ("tests.e2e.test_demo", ["tests.e2e.test_demo::test_b: no cluster"]),
        ("tests.faults.test_kill", ["tests.faults.test_kill::test_b: no cluster"]),
        ("tests.golden.test_published", []),
    ],
)
def test_a_skipped_integration_test_is_found(tmp_path: Path, where: str, found: list[str]) -> None:
    report = tmp_path / "report.xml"
    report.write_text(CASES.format(where=where))
    assert skipped_integration_tests(str(report)) == found


def test_what_nobody_could_have_started_is_allowed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    out_of_reach = CASES.replace("no cluster", f"{OUT_OF_REACH}only root may mount")
    report.write_text(out_of_reach.format(where="tests.integration.test_bulk"))
    assert skipped_integration_tests(str(report)) == []


@pytest.mark.parametrize(
    "script", sorted(p for p in SCRIPTS.iterdir() if p.is_file() and p.suffix == ""), ids=lambda p: p.name
)
def test_every_script_is_executable_parses_and_says_what_it_does(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert script.stat().st_mode & 0o111
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert "set -euo pipefail" in lines
    subprocess.run(["bash", "-n", str(script)], check=True)
