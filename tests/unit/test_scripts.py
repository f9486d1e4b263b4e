"""The scripts' own logic."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scripts.lib.no_integration_skips import OUT_OF_REACH, skipped_integration_tests

SCRIPTS = Path(__file__).parents[2] / "scripts"
CASES = """<testsuites><testsuite>
  <testcase classname="tests.integration.test_bulk" name="test_a"/>
  <testcase classname="{where}" name="test_b"><properties><property name="marked" value="{mark}"/></properties>
    <skipped message="no cluster"/></testcase>
</testsuite></testsuites>"""

MODULES = {
    "tests/elsewhere/test_marked.py": """
import pytest
pytestmark = [pytest.mark.integration, pytest.mark.skipif(True, reason="no jq")]
def test_a(): ...
class TestIn:
    def test_b(self): ...
""",
    "tests/elsewhere/test_one.py": """
import pytest
@pytest.mark.e2e
def test_c(): pytest.skip("no browser")
@pytest.mark.faults
def test_d(): pytest.skip("out of reach: only root may")
def test_e(): pytest.skip("no reason of ours")
@pytest.mark.integration
def test_f(): ...
""",
    "tests/elsewhere/test_whole.py": """
import pytest
pytest.skip("no library", allow_module_level=True)
""",
    "tests/elsewhere/test_whole_out_of_reach.py": """
import pytest
pytest.skip("out of reach: no library", allow_module_level=True)
""",
    "tests/integration/test_unmarked.py": """
import pytest
def test_g(): pytest.skip("no cluster")
""",
}


@pytest.mark.parametrize(
    ("where", "mark", "found"),
    [
        ("tests.integration.test_bulk", "", True),
        ("tests.integration.cluster.test_bulk.TestAll", "", True),
        ("tests.e2e.test_demo", "", True),
        ("tests.faults.test_kill", "", True),
        ("tests.scripts.test_setup", "integration", True),
        ("tests.unit.test_a", "e2e", True),
        ("tests.unit.test_a", "", False),
        ("tests.golden.test_published", "golden", False),
        ("tests.integrations_of_others", "", False),
    ],
)
def test_a_skipped_integration_test_is_found(tmp_path: Path, where: str, mark: str, found: bool) -> None:
    report = tmp_path / "report.xml"
    report.write_text(CASES.format(where=where, mark=mark))
    assert skipped_integration_tests(str(report)) == ([f"{where}::test_b: no cluster"] if found else [])


def test_what_nobody_could_have_started_is_allowed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    out_of_reach = CASES.replace("no cluster", f"{OUT_OF_REACH}only root may mount")
    report.write_text(out_of_reach.format(where="tests.integration.test_bulk", mark="integration"))
    assert skipped_integration_tests(str(report)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_reports_say_which_tests_are_marked_wherever_they_lie(tmp_path: Path, workers: int) -> None:
    """By pytest itself, in one process and in workers, as CI runs it."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    marks = "".join(f"{mark}: …\n" for mark in ("integration", "faults", "e2e"))
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{textwrap.indent(marks, '    ')}")
    report = tmp_path / "report.xml"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.reported", "-n", str(workers)]
    done = subprocess.run(
        [*command, "-q", f"--junitxml={report}", "tests"],
        cwd=tmp_path,
        env={**own, "PYTHONPATH": str(SCRIPTS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(skipped_integration_tests(str(report))) == [
        "tests.elsewhere.test_marked.TestIn::test_b: no jq",
        "tests.elsewhere.test_marked::test_a: no jq",
        "tests.elsewhere.test_one::test_c: no browser",
        "tests.elsewhere.test_whole: no library",
        "tests.integration.test_unmarked::test_g: no cluster",
    ]


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
