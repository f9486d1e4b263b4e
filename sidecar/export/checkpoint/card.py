"""The model card a checkpoint brings: its text, and what its front matter says of licence and origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from sidecar.validation.yaml_text import read_yaml

__all__ = ["Card", "read_card"]


@dataclass(frozen=True, slots=True)
class Card:
    """README.md of a checkpoint; None where there is none, or where it does not say."""

    text: str | None = None
    license: str | None = None
    base_model: str | None = None


def read_card(folder: Path) -> Card:
    """Read README.md; a front matter that is no YAML is treated as absent."""
    path = folder / "README.md"
    if not path.is_file():
        return Card()
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        return Card(text)
    end = next(number for number, line in enumerate(lines[1:], start=1) if line.strip() == "---")
    try:
        front, _ = read_yaml("\n".join(lines[1:end]))
    except yaml.YAMLError:
        return Card(text)
    if not isinstance(front, dict):
        return Card(text)
    return Card(text, _first(front.get("license_name") or front.get("license")), _first(front.get("base_model")))


def _first(value: object) -> str | None:
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) and value else None
