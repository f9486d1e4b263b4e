"""Draws docs/images/rooms.svg, the rooms of the package and who may know whom, from the contract in pyproject.toml.

Usage: python -m scripts.rooms
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PICTURE = REPOSITORY / "docs" / "images" / "rooms.svg"

WHAT = {
    "cli": "one module per command group",
    "server": "gRPC, HTTP, admin port",
    "evaluation": "runs, measures, significance",
    "export": "checkpoint to bundle; torch",
    "scale": "a corpus on many machines",
    "cluster": "setup, index, reconcile, migrate",
    "search": "retrieve, fuse, rerank, augment",
    "client": "gRPC, sync and async",
    "engine": "clusters and dialects",
    "inference": "tokenise, schedule, run",
    "bundle": "manifest, fingerprint, loading",
    "contract": "gRPC messages and failures",
    "settings": "flag, environment, YAML",
    "domain": "value objects",
    "errors": "one tree, one table",
    "validation": "texts and ids",
    "tracing": "spans, if anybody traces",
    "signals": "being asked to end",
}
"""What is in a room, in a few words. A room without an entry can't be drawn, and a test says so."""

EXTRAS = frozenset({"inference", "evaluation", "export", "scale", "server"})
"""Rooms that need an extra of the package; what the others need, the light package brings."""

WIDTH, ROW, GAP, LEFT, TOP = 960, 92, 16, 150, 40
LABELS = ("commands", "programs", "work", "tools", "language", "ground")

STYLE = """
      .light { fill: #eef2f9; stroke: #33528c; stroke-width: 1.6 }
      .extra { fill: #eaf3ec; stroke: #2f7d4f; stroke-width: 1.6 }
      .arrow { stroke: #44546a; stroke-width: 1.6; fill: none; marker-end: url(#tip) }
      .lane { font-weight: bold; fill: #44546a; letter-spacing: .5px }
      .small { font-size: 12px; fill: #44546a }
      text { fill: #1f2937 }
    """


def layers() -> list[list[str]]:
    """Return the rooms from top to bottom, as import-linter holds them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in row.split(":")] for row in rows]


def picture(rows: Sequence[Sequence[str]]) -> str:
    """Return the drawing."""
    height = TOP + ROW * len(rows) + 44
    label = "Rooms of the package, from commands above to value objects below; imports point downwards only."
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="14" role="img" aria-label="{label}">',
        "  <defs>",
        '    <marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#44546a"/></marker>',
        f"    <style>{STYLE}</style>",
        "  </defs>",
        f'  <rect width="{WIDTH}" height="{height}" fill="#fbfbfb"/>',
    ]
    for row, rooms in enumerate(rows):
        lines.extend(_layer(rooms, row))
    bottom = TOP + ROW * len(rows) - 24
    lines.append(f'  <path class="arrow" d="M{LEFT - 22} {TOP}V{bottom}"/>')
    lines.extend(_legend(height - 22))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _layer(rooms: Sequence[str], row: int) -> Iterator[str]:
    top = TOP + ROW * row
    yield f'  <text class="lane" x="24" y="{top + 38}">{LABELS[row]}</text>'
    width = (WIDTH - LEFT - 24 - GAP * (len(rooms) - 1)) / len(rooms)
    for column, room in enumerate(rooms):
        left = LEFT + column * (width + GAP)
        middle = left + width / 2
        kind = "extra" if room in EXTRAS else "light"
        yield f'  <rect class="{kind}" x="{left:g}" y="{top}" width="{width:g}" height="64" rx="8"/>'
        yield f'  <text x="{middle:g}" y="{top + 28}" text-anchor="middle" font-weight="bold">{room}</text>'
        yield f'  <text class="small" x="{middle:g}" y="{top + 48}" text-anchor="middle">{WHAT[room]}</text>'


def _legend(y: int) -> Iterator[str]:
    yield f'  <rect class="light" x="{LEFT}" y="{y - 12}" width="16" height="14" rx="3"/>'
    yield f'  <text class="small" x="{LEFT + 24}" y="{y}">in the light package</text>'
    yield f'  <rect class="extra" x="{LEFT + 190}" y="{y - 12}" width="16" height="14" rx="3"/>'
    yield f'  <text class="small" x="{LEFT + 214}" y="{y}">needs an extra (numpy, onnxruntime, torch …)</text>'
    yield f'  <text class="small" x="{WIDTH - 24}" y="{y}" text-anchor="end">a room knows those below it</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(layers()), encoding="utf-8")
