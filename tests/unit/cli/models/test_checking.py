"""`sidecar models verify`: files by their hashes, and a graph by running it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.errors import (
    BundleCorrupt,
    ManifestInvalid,
)
from tests.unit.cli.models.conftest import Run


def test_verify_without_running(run: Run, shelf: Path):
    text = run("verify", "placeholder-sparse", "--no-run").stdout
    assert "3 match their sha256" in text
    printed = json.loads(run("verify", "placeholder-sparse", "--no-run", "--json").stdout)
    assert printed["ran"] is False
    assert printed["files"] == 3


def test_verify_one_flipped_byte(run: Run, shelf: Path):
    path = shelf / "placeholder-sparse" / "tokenizer.json"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json has sha256"):
        run("verify", "placeholder-sparse", "--no-run")


def test_verify_a_manifest_with_an_unknown_key(run: Run, shelf: Path):
    path = shelf / "placeholder-sparse" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "flavour": "mint"}))
    with pytest.raises(ManifestInvalid, match="flavour"):
        run("verify", "placeholder-sparse")


def test_verify_hashes_that_match_and_a_graph_that_is_none(run: Run, shelf: Path):
    with pytest.raises(BundleCorrupt):
        run("verify", "placeholder-sparse")
