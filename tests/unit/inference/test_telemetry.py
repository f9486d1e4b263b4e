"""onnxruntime's official builds report home unless they are told not to before they start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = """
import sys
from pathlib import Path
{first}
from sidecar.bundle import Bundle
from sidecar.inference.service import InferenceService
from sidecar.settings import Settings
InferenceService.load([Bundle.open(Path(sys.argv[1]))], Settings()).close()
"""


def run(bundle: Path, home: Path, first: str = "", **environment: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    kept |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), **environment}
    subprocess.run([sys.executable, "-c", LOAD.format(first=first), str(bundle)], check=True, env=kept)


@pytest.mark.parametrize("first", ["", "import sidecar.export.checking", "import sidecar.client"])
def test_loading_a_model_writes_nothing_into_the_home_folder(
    first: str, tmp_path: Path, tiny_sparse_bundle: Path
) -> None:
    run(tiny_sparse_bundle, tmp_path, first)
    assert [*tmp_path.rglob("*")] == []


def test_whoever_sets_the_variable_is_left_to_it(tmp_path: Path) -> None:
    command = "import os, sidecar; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    answer = subprocess.run(
        [sys.executable, "-c", command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
    )
    assert answer.stdout == "0\n"
