"""Fail if a JUnit report has a skipped test of tests/integration, tests/faults or tests/e2e.

What no script could have installed or started, as the rights of root, is told by a reason that begins with
OUT_OF_REACH, and allowed.

Usage: no_integration_skips.py REPORT
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree

OUT_OF_REACH = "out of reach: "


def skipped_integration_tests(report: str) -> list[str]:
    """Return `class::name: reason` of each skipped integration test in the report at path `report`."""
    found: list[str] = []
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        where = case.get("classname", "")
        if skip is None or not where.startswith(("tests.integration", "tests.faults", "tests.e2e")):
            continue
        reason = skip.get("message", "")
        if not reason.startswith(OUT_OF_REACH):
            found.append(f"{where}::{case.get('name')}: {reason}")
    return found


if __name__ == "__main__":
    skipped = skipped_integration_tests(sys.argv[1])
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    sys.exit(1 if skipped else 0)
