"""How this group prints: tables for people, one JSON document for machines."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import orjson
import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidecar.bundle import Bundle, Manifest
from sidecar.bundle.names import CARD, GRAPH
from sidecar.domain import JsonValue, ModelKind

__all__ = [
    "card_summary",
    "console",
    "facts",
    "human_size",
    "license_text",
    "prepare",
    "print_json",
    "queries_of",
    "sizes",
]

PLAIN_WIDTH = 160
"""Columns where the output is no terminal: a table that is cut off can't be searched."""


def prepare(*, as_json: bool, needs: Sequence[str] = ()) -> None:
    """Keep standard output for the answer: warnings of libraries go to standard error, the rest is not shown.

    `needs` names what the command imports later: the first that is missing raises ModuleNotFoundError, before a module
    that two extras bring can be the one that is named.
    """
    for module in needs:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    if as_json or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def console() -> Console:
    """Return a console for standard output."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=PLAIN_WIDTH)


def print_json(value: JsonValue) -> None:
    """Print one indented JSON document."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def facts() -> Table:
    """Return an empty two-column list of names and values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def human_size(size: int) -> str:
    """Write a number of bytes as people do, in powers of 1,000."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1_000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} GB"


def sizes(bundle: Bundle) -> dict[str, int]:
    """Return the size of every file that the manifest lists."""
    return {name: (bundle.folder / name).stat().st_size for name in bundle.manifest.files}


def queries_of(manifest: Manifest) -> str:
    """Say in a word how queries are encoded."""
    if manifest.kind is ModelKind.CROSS_ENCODER:
        return "pairs"
    mode = manifest.query_mode.value if manifest.query_mode else "?"
    return f"{mode} (queries only)" if GRAPH not in manifest.files else mode


def license_text(license: str, *, non_commercial: bool) -> Text:
    """Write a licence; one that forbids commercial use stands out."""
    return Text(f"{license} (non-commercial)", style="bold yellow") if non_commercial else Text(license)


def card_summary(folder: Path) -> str:
    """Return the first paragraph of the model card, or ""."""
    path = folder / CARD
    if not path.is_file():
        return ""
    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.DOTALL)
    paragraphs = (paragraph.strip() for paragraph in re.split(r"\n\s*\n", text))
    return next((" ".join(part.split()) for part in paragraphs if part and not part.startswith(("#", "|", "<"))), "")
