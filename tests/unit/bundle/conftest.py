"""A placeholder bundle, and a cache of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import placeholder_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    placeholder_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDECAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
