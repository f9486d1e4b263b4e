"""The limit of open files is raised as far as it may be, and connections take a share of what is left."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.server import files


def in_a_process(limits: str, *, then: str) -> str:
    """Run `then` where the soft and hard limits of open files are these."""
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {limits})\n"
        f"from sidecar.server.files import connections_within, raise_file_limit\n{then}"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    shown = "raise_file_limit(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert in_a_process("(64, 256)", then=shown) == "(256, 256)"


def test_connections_are_a_share_of_the_files_that_are_left() -> None:
    shown = "print(connections_within(1 / 4), connections_within(1e-9))"
    quarter, least = map(int, in_a_process("(96, 96)", then=shown).split())
    assert 8 <= quarter < 24
    assert least == 1


def test_no_limit_of_files_is_no_reason_for_any_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (files.resource.RLIM_INFINITY, 10**9):
        monkeypatch.setattr(files.resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert files.connections_within(1 / 4) == files.MOST_CONNECTIONS


def test_a_limit_that_can_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(files.resource, "getrlimit", lambda _: (64, 256))
    monkeypatch.setattr(files.resource, "setrlimit", refused)
    files.raise_file_limit()
