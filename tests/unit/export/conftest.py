"""How the ready graphs of these tests are imported, and checkpoints that a test may change: copies of the tiny ones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.domain import ModelKind
from sidecar.export.importing import ImportOptions
from tests.support.graphs import tiny_tokenizer_file


@pytest.fixture
def options(tmp_path: Path) -> ImportOptions:
    folder = tmp_path / "given"
    folder.mkdir()
    return ImportOptions(
        name="tiny-import",
        kind=ModelKind.SPARSE_ENCODER,
        license="Apache-2.0",
        tokenizer=tiny_tokenizer_file(folder),
        max_tokens=64,
    )


@pytest.fixture
def cross(options: ImportOptions) -> ImportOptions:
    return replace(options, kind=ModelKind.CROSS_ENCODER)


@pytest.fixture
def checkpoint(tiny_sparse_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sparse_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture
def router(tiny_router_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_router_checkpoint, tmp_path / "router"))
