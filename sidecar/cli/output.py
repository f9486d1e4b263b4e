"""How commands say what they have done: a sentence for the operator, JSON for a program, and a file for the rest."""

from __future__ import annotations

import json
import os
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console

from sidecar.errors import InvalidInput

__all__ = ["check_writable", "letters_path", "print_json", "print_json_line", "say", "show"]


def say(sentence: str) -> None:
    """Print one sentence on standard error; brackets in it are brackets, whatever rich's markup would make of them."""
    Console(stderr=True).print(sentence, highlight=False, soft_wrap=True, markup=False, emoji=False)


def show(line: str) -> None:
    """Print one line of a result on standard output, as `say` does."""
    Console().print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_json(value: object) -> None:
    """Print one indented JSON document."""
    from sidecar.engine.exact_json import to_json

    try:
        text = to_json(value, indent=True).decode()
    except InvalidInput:
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


def check_writable(path: Path) -> None:
    """Raise InvalidInput where a file can't be written: minutes of work should not end there. Makes the folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{path} can't be written: {error.strerror}.", field="json") from error
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidInput(f"{path} can't be written: it is a folder, or closed to this user.", field="json")


def letters_path(name: str) -> Path:
    """Return the file for the dead letters of an index, in the working directory, where the user names none."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return Path(f"dead-letters-{name.replace('/', '_')}-{moment}.jsonl")
