"""How help is laid out: two columns that fit into 80 characters, connections and examples in sections of their own.

Typer's own layout has five columns, of which the one that explains gets eighteen characters of eighty, and cuts off the
names of environment variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup

from sidecar.cli.examples import EXAMPLES

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

__all__ = ["CONNECTIONS", "SECTIONS", "PlainCommand", "PlainGroup", "lay_out"]

SECTIONS: Mapping[str, Sequence[str]] = {
    "Try it": ("demo", "opensearch"),
    "Serve models": ("serve", "models"),
    "Fill an index, and keep it true": (
        "setup",
        "index",
        "reconcile",
        "retry",
        "frequencies",
        "encode-corpus",
        "migrate",
        "doctor",
        "teardown",
    ),
    "Search and measure": ("search", "evaluate", "tune", "bench"),
}
"""Under which heading, and in which order, the commands of `sidecar` are listed; others follow under `Commands`."""

CONNECTIONS = (
    "--engine",
    "--user",
    "--password",
    "--api-key",
    "--aws-region",
    "--aws-service",
    "--ca",
    "--insecure",
    "--sidecar",
    "--token",
    "--sidecar-ca",
    "--sidecar-tls",
    "--sidecar-name",
    "--sidecar-cert",
    "--sidecar-key",
)
"""Options that nearly every command has: how the cluster and the sidecar are reached, and who we are there."""

TYPES = {"str": "TEXT", "int": "N", "float": "NUMBER", "path": "PATH", "dir": "PATH"}


def lay_out(app: typer.Typer) -> None:
    """Give every command of `app`, and of its groups, this module's layout."""
    app.rich_markup_mode = None
    app.info.cls = PlainGroup
    for command in app.registered_commands:
        command.cls = PlainCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            lay_out(group.typer_instance)


class PlainCommand(TyperCommand):
    """A command whose help has the sections Arguments, Options, Connections and Examples."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return `[OPTIONS]` and the arguments, in capitals."""
        return [_capitals(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments and options."""
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)


class PlainGroup(TyperGroup):
    """A group of commands, listed by section with the whole first sentence of each."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write options and commands."""
        _write_parameters(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands, by section."""
        known = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        for heading, names in _sections(known):
            rows = [(name, _first_sentence(known[name].help or "")) for name in names if not known[name].hidden]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)


def _sections(known: Mapping[str, Command]) -> Iterator[tuple[str, list[str]]]:
    left = list(known)
    for heading, names in SECTIONS.items():
        if found := [name for name in names if name in left]:
            left = [name for name in left if name not in found]
            yield heading, found
    if left:
        yield "Commands", left


def _write_parameters(command: Command, ctx: Context, formatter: HelpFormatter) -> None:
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    connections: dict[str, tuple[str, str]] = {}
    for parameter in command.get_params(ctx):
        row = parameter.get_help_record(ctx)
        if row is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append((_capitals(row[0].partition(" <")[0]), row[1]))
        elif parameter.opts[0] in CONNECTIONS:
            connections[parameter.opts[0]] = (_metavar(row[0]), row[1])
        else:
            options.append((_metavar(row[0]), row[1]))
    reached = [connections[name] for name in CONNECTIONS if name in connections]
    for heading, rows in (("Arguments", arguments), ("Options", options), ("Connections", reached)):
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


def _write_examples(ctx: Context, formatter: HelpFormatter) -> None:
    examples = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _metavar(row: str) -> str:
    """Return `--size <int range>` as `--size N`, `--kind <a|b>` as `--kind a|b`."""
    return re.sub(r"<(?:list\[)?([^<>\[\]]+?)(?: range)?\]?>", lambda kind: TYPES.get(kind[1].lower(), kind[1]), row)


def _capitals(argument: str) -> str:
    name = argument.replace("{", "").replace("}", "")
    return name.upper() if name.islower() else name


def _first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, in one line."""
    return " ".join(re.split(r"(?<=\.)\s", text, maxsplit=1)[0].split())
