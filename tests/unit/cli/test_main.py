"""The door of the command line: errors are one line and an exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from sidecar import __version__
from sidecar.cli import main as door
from sidecar.errors import DocumentsNotWritten, SidecarError


def _raising(error: BaseException) -> object:
    def app(*, args: object, prog_name: str) -> None:
        raise error

    return lambda command: app


@pytest.mark.parametrize(
    ("error", "code"),
    [(SidecarError("Start it with [server] on."), 1), (DocumentsNotWritten("2 of 3 were not written."), 3)],
)
def test_an_error_is_one_line_with_every_character_of_it(
    error: SidecarError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(door, "command_line", _raising(error))
    with pytest.raises(SystemExit) as left:
        door.main([])
    assert left.value.code == code
    assert capsys.readouterr().err == f"error: {error.message}\n"


def test_a_missing_module_names_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(door, "command_line", _raising(ModuleNotFoundError("No module", name="ir_measures.providers")))
    with pytest.raises(SystemExit) as left:
        door.main([])
    assert left.value.code == 1
    assert "pip install 'splade-sidecar[eval]'" in capsys.readouterr().err


def test_a_module_that_no_extra_brings_is_a_bug_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "command_line", _raising(ModuleNotFoundError("No module", name="something_else")))
    with pytest.raises(ModuleNotFoundError):
        door.main([])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        door.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("command", ["demo", "serve", "models", "opensearch", "setup", "index", "search", "evaluate"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        door.main([command, "--help"])
    assert left.value.code == 0
    assert "Usage" in capsys.readouterr().out


def names(command: str | None = None) -> set[str]:
    built = get_command(door.command_line(command))
    assert isinstance(built, TyperGroup)
    return set(built.commands)


def test_every_command_is_where_the_table_says() -> None:
    assert names() == set(door.COMMANDS)
    for command, module in door.COMMANDS.items():
        assert names(command) == {name for name, other in door.COMMANDS.items() if other == module}


def test_a_word_that_is_no_command_is_looked_for_among_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert names("serach") == set(door.COMMANDS)
    with pytest.raises(SystemExit) as left:
        door.main(["serach"])
    assert left.value.code == 2
    assert "search" in capsys.readouterr().err


def test_a_command_does_not_import_what_only_others_need() -> None:
    code = (
        "import sys; from sidecar.cli.main import command_line; command_line('frequencies');"
        " print(*(m for m in ('pydantic', 'structlog', 'sidecar.cli.models', 'sidecar.settings') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
