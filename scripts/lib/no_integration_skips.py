"""Fail if a JUnit report has a skipped integration test: one of their folders, or one that is marked, wherever it lies.

Reports say which tests are marked (tests/support/reported.py). A module that is skipped as a whole says nothing of its
tests, and counts. What no script could have installed or started, as the rights of root, is told by a reason that
begins with OUT_OF_REACH, and allowed.

Usage: no_integration_skips.py REPORT
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree

OUT_OF_REACH = "out of reach: "

FOLDERS = ("tests.integration.", "tests.faults.", "tests.e2e.")

MARKS = ("integration", "faults", "e2e")

MARKED = "marked"
"""Property of a test in the report: one of its marks."""


def skipped_integration_tests(report: str) -> list[str]:
    """Return `class::name: reason` of each skipped integration test in the report at path `report`."""
    found: list[str] = []
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if skip is None:
            continue
        where, name = case.get("classname", ""), case.get("name", "")
        if not where:
            # "('…/test_a.py', 3, 'Skipped: why')": pytest has the reason of a module in the text.
            reason = (skip.text or "").rpartition("Skipped: ")[2].rstrip("\"')\n")
        elif where.startswith(FOLDERS) or _is_marked(case):
            reason = skip.get("message", "")
        else:
            continue
        if not reason.startswith(OUT_OF_REACH):
            found.append(f"{where}::{name}: {reason}" if where else f"{name}: {reason}")
    return found


def _is_marked(case: ElementTree.Element) -> bool:
    return any(one.get("name") == MARKED and one.get("value") in MARKS for one in case.iter("property"))


if __name__ == "__main__":
    skipped = skipped_integration_tests(sys.argv[1])
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    sys.exit(1 if skipped else 0)
