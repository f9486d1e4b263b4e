"""What a JUnit report says of a test beside its outcome: its marks.

By them CI sees that an integration test was skipped: not every one lies in tests/integration.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scripts.lib.no_integration_skips import MARKED, MARKS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [(MARKED, mark) for mark in MARKS if item.get_closest_marker(mark) is not None]
