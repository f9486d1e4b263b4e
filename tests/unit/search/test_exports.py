"""What the room shows, and what it must not drag along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sidecar.evaluation
import sidecar.search

HEAVY = ("numpy", "onnxruntime", "tokenizers", "torch", "ir_measures")


@pytest.mark.parametrize("room", [sidecar.search, sidecar.evaluation], ids=lambda room: room.__name__)
def test_all_is_complete_and_true(room) -> None:
    assert len(set(room.__all__)) == len(room.__all__)
    for name in room.__all__:
        assert getattr(room, name) is not None
    shown = {
        name
        for name, value in vars(room).items()
        if getattr(value, "__module__", "").startswith(room.__name__ + ".") and not name.startswith("_")
    }
    assert shown <= set(room.__all__)


def test_searching_needs_no_model_runtime() -> None:
    code = f"import sys, sidecar.search; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
