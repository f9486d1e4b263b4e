"""Help as it appears on a terminal of 80 columns: whole, in sections, and with examples that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from sidecar.cli.examples import EXAMPLES
from sidecar.cli.help import CONNECTIONS, SECTIONS
from sidecar.cli.main import command_line

COLUMNS = 80
APP = command_line()
ROOT = get_command(APP)


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Yield every command below `group` that does something, with the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            assert isinstance(command, TyperCommand)
            yield (*path, name), command


assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))
GROUPS = {path[:-1] for path in COMMANDS}


def shown(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERMINAL_WIDTH", str(COLUMNS))
    result = CliRunner().invoke(APP, [*path, "--help"], prog_name="sidecar")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", [*sorted(GROUPS), *COMMANDS], ids=" ".join)
def test_nothing_is_cut_off_at_80_columns(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(path, monkeypatch)
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert "…" not in text
    assert not re.search(r"[a-z]\.\.\.$", text, flags=re.MULTILINE), "a sentence is cut off"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_there_and_connections_come_last(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, _, connections = shown(path, monkeypatch).partition("\nConnections:\n")
    for parameter in COMMANDS[path].params:
        if parameter.param_type_name == "option":
            name = parameter.opts[0]
            assert re.search(rf"^  (-h, )?{name}\b", connections if name in CONNECTIONS else own, flags=re.MULTILINE)


def test_the_list_of_commands_has_each_of_them_once_with_its_first_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown((), monkeypatch)
    assert isinstance(ROOT, TyperGroup)
    for name, command in ROOT.commands.items():
        assert len(re.findall(rf"^  {name} ", text, flags=re.MULTILINE)) == 1
        first = " ".join((command.help or "").split()).split(". ")[0].rstrip(".")
        assert first in " ".join(text.split())
    assert {name for names in SECTIONS.values() for name in names} <= set(ROOT.commands)


def test_examples_belong_to_commands_that_exist() -> None:
    known = {" ".join(path) for path in (*COMMANDS, *GROUPS)}
    assert set(EXAMPLES) <= known


def typed(lines: tuple[str, ...] | list[str]) -> Iterator[list[str]]:
    """Yield the arguments of each `sidecar` in a shell's line: behind variables, pipes and &&."""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \| ", line):
            words = shlex.split(part)
            if "sidecar" in words:
                yield words[words.index("sidecar") + 1 :]


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_example_is_taken_by_the_command_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = list(typed(list(EXAMPLES[name])))
    assert seen
    for words in seen:
        assert words[: len(name.split())] == name.split(), "an example shows its own command"
        path = next(path for path in sorted(COMMANDS, key=len, reverse=True) if tuple(words[: len(path)]) == path)
        COMMANDS[path].make_context("sidecar", words[len(path) :])
