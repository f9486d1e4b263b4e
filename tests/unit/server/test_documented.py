"""docs/server.md says what the settings and the errors are: its tables are compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.errors import WIRE
from sidecar.server.grpc.server import health_names
from sidecar.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "server.md"


def settings_table() -> list[str]:
    rows = ["| Setting | Default | What it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if value in (None, "") else f"`{str(value).lower()}`"
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return rows


def errors_table() -> list[str]:
    rows = ["| Reason | gRPC code | HTTP | Raised by the client as | When |", "|---|---|---|---|---|"]
    for cls, wire in WIRE.items():
        when = (cls.__doc__ or "").strip().splitlines()[0].replace("|", "/")
        rows.append(f"| `{wire.reason}` | {wire.code.name} | {wire.http_status} | `{cls.__name__}` | {when} |")
    return rows


def tables() -> list[list[str]]:
    found: list[list[str]] = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append(line)
        inside = line.startswith("|")
    return found


@pytest.mark.parametrize("expected", [settings_table(), errors_table()], ids=["settings", "errors"])
def test_the_table_is_up_to_date(expected: list[str]) -> None:
    documented = [table for table in tables() if table[0] == expected[0]]
    assert documented == [expected], "replace the table by:\n" + "\n".join(expected)


def test_the_default_ports_are_the_documented_ones() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("grpc_port", "http_port", "admin_port"):
        assert re.search(rf"\b{Settings.model_fields[name].default}\b", text)


def test_the_health_names_are_the_documented_ones() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in health_names(()):
        assert name in text
