"""Fail if a JUnit report has a skipped test of tests/integration, tests/faults or tests/e2e.

Usage: no_integration_skips.py REPORT
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree


def skipped_integration_tests(report: str) -> list[str]:
    """Return `class::name: reason` of each skipped integration test in the report at path `report`."""
    found: list[str] = []
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        where = case.get("classname", "")
        if skip is not None and where.startswith(("tests.integration", "tests.faults", "tests.e2e")):
            found.append(f"{where}::{case.get('name')}: {skip.get('message', '')}")
    return found


if __name__ == "__main__":
    skipped = skipped_integration_tests(sys.argv[1])
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    sys.exit(1 if skipped else 0)
