"""Fixtures come from the modules of `tests.support`, one per kind of thing that tests need for real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A property is no race: a busy machine is not a bug.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

pytest_plugins = [
    "tests.support.reported",
    "tests.support.collector",
    "tests.support.checkpoints",
    "tests.support.sidecars",
    "tests.support.nodes",
    "tests.support.bare",
    "tests.support.bare",
    "tests.support.migration",
    "tests.support.second_index",
    "tests.support.helm",
    "tests.support.terminals",
]


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A command that a test runs in this process configures the logging of the process: not for the next test."""
    yield
    structlog.reset_defaults()
