"""How commands say what they have done: a sentence for the operator, JSON for a program, and a file for the rest."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console

__all__ = ["letters_path", "print_json", "print_json_line", "say", "show"]


def say(sentence: str) -> None:
    """Print one sentence on standard error; brackets in it are brackets, whatever rich's markup would make of them."""
    Console(stderr=True).print(sentence, highlight=False, soft_wrap=True, markup=False, emoji=False)


def show(line: str) -> None:
    """Print one line of a result on standard output, as `say` does."""
    Console().print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_json(value: object) -> None:
    """Print one indented JSON document."""
    import orjson

    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONEncodeError:
        # A document with a lone surrogate, for which JSON has an escape, and orjson has none.
        text = json.dumps(value, indent=2, default=_fields)
    typer.echo(text)


def _fields(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} can't be written as JSON.")
    return {field.name: getattr(value, field.name) for field in fields(value)}


def print_json_line(value: object) -> None:
    """Print a JSON document in one line: the summary of a run."""
    import orjson

    typer.echo(orjson.dumps(value).decode())


def letters_path(name: str) -> Path:
    """Return the file for the dead letters of an index, in the working directory, where the user names none."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return Path(f"dead-letters-{name.replace('/', '_')}-{moment}.jsonl")
