"""Figures of int8 and fp32 are kept for the bundles that they were measured with, and no others."""

import json
from pathlib import Path

from scripts.starter.precisions import Precisions, _keep, _kept


def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    found = Precisions(["a", "b"], {"med/test": {"int8": 0.5, "fp32": 0.6}}, {})
    _keep(found, tmp_path / "precisions.json")
    assert _kept(tmp_path / "precisions.json", ["a", "b"]) == found
    assert json.loads((tmp_path / "precisions.json").read_text())["sparse"] == found.sparse


def test_another_bundle_starts_anew(tmp_path: Path) -> None:
    _keep(Precisions(["a", "b"], {"med/test": {"int8": 0.5}}, {}), tmp_path / "precisions.json")
    assert _kept(tmp_path / "precisions.json", ["a", "c"]) == Precisions(["a", "c"], {}, {})


def test_nothing_yet(tmp_path: Path) -> None:
    assert _kept(tmp_path / "none.json", ["a"]) == Precisions(["a"], {}, {})
