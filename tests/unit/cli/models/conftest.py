"""The commands of `sidecar models` in an empty folder, and bundles that can be named there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sidecar.cli.main import command_line
from sidecar.errors import SidecarError
from tests.support.bundles import CROSS_ENCODER, placeholder_bundle

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sidecar models …` in an empty folder; an expected error is raised, as in `main`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDECAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIDECAR_BUNDLES", str(tmp_path / "shelf"))

    def models(*arguments: str) -> Result:
        result = CliRunner().invoke(command_line(), ["models", *arguments])
        if isinstance(result.exception, SidecarError):
            raise result.exception
        return result

    return models


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    placeholder_bundle(tmp_path / "shelf" / "placeholder-sparse")
    placeholder_bundle(tmp_path / "shelf" / "placeholder-cross", CROSS_ENCODER)
    return tmp_path / "shelf"
