"""The ready file is its writer's: nobody else takes it away as long as the writer lives."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from sidecar.errors import SettingsInvalid
from sidecar.server.ready_file import ReadyFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ready.json"


def names(path: Path) -> list[str]:
    return [found.name for found in path.parent.iterdir()]


def test_it_is_written_and_removed(path: Path) -> None:
    ready = ReadyFile(path)
    ready.check()
    assert names(path) == []
    ready.remove_stale()
    ready.write(b"{}")
    assert path.read_bytes() == b"{}"
    assert names(path) == ["ready.json"]
    ready.remove()
    ready.remove()
    assert names(path) == []


def test_a_sidecar_that_did_not_write_it_does_not_remove_it(path: Path) -> None:
    path.write_bytes(b"another's")
    ready = ReadyFile(path)
    ready.check()
    ready.remove()
    assert path.read_bytes() == b"another's"


def test_one_that_was_replaced_stays(path: Path) -> None:
    first, second = ReadyFile(path), ReadyFile(path)
    first.write(b"same")
    second.write(b"same")
    first.remove()
    assert path.read_bytes() == b"same"
    second.remove()
    assert names(path) == []


def test_a_dead_sidecars_is_removed_and_a_living_ones_stays(path: Path) -> None:
    path.write_bytes(b"of a process that was killed")
    ReadyFile(path).remove_stale()
    assert names(path) == []
    living = ReadyFile(path)
    living.write(b"alive")
    with structlog.testing.capture_logs() as logged:
        ReadyFile(path).remove_stale()
    assert path.read_bytes() == b"alive"
    assert [line["log_level"] for line in logged] == ["warning"]
    living.remove()


def test_where_it_can_not_be_written_is_found_by_trying(path: Path) -> None:
    for wrong in (path / "no" / "such", path.parent):
        ready = ReadyFile(wrong)
        for attempt in (ready.check, lambda ready=ready: ready.write(b"{}")):
            with pytest.raises(SettingsInvalid, match="can't be written") as raised:
                attempt()
            assert raised.value.field == "ready_file"
    assert names(path) == []


def test_a_folder_that_went_away_does_not_hold_up_the_end(path: Path) -> None:
    ready = ReadyFile(path)
    ready.write(b"{}")
    path.unlink()
    ready.remove()


def test_without_a_path_nothing_happens(tmp_path: Path) -> None:
    ready = ReadyFile(None)
    ready.check()
    ready.remove_stale()
    ready.write(b"{}")
    ready.remove()
    assert list(tmp_path.iterdir()) == []
