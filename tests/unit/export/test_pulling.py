"""From a hub on the loopback interface to a bundle that encodes, through the command a user types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sidecar.bundle import Bundle
from sidecar.bundle.manifest import Activation, Pooling, QueryMode, ScoreActivation
from sidecar.domain import ModelKind, PruningType
from sidecar.errors import ExportError, HubError, UnsupportedCheckpoint
from sidecar.export.hub import HubReference
from sidecar.export.pulling import PullOptions, pull_model, read_license
from tests.support.hub import Hub, Repository, files_of, hub

# An export starts torch in a process of its own: seconds alone, minutes beside everything else.
pytestmark = pytest.mark.timeout(900)

APACHE = b"---\nlicense: apache-2.0\ntags:\n- sparse\n---\n# A tiny model\n"


@dataclass
class Machine:
    """A user's machine: an empty home and a folder to work in."""

    folder: Path
    hub: Hub

    def models(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SIDECAR_"))}
        return subprocess.run(
            [sys.executable, "-m", "sidecar", "models", *arguments],
            cwd=self.folder,
            env={
                **inherited,
                "HF_HOME": str(self.folder / "hf"),
                "HF_ENDPOINT": self.hub.url,
                "HF_HUB_DISABLE_TELEMETRY": "1",
                **more,
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with hub() as running:
        yield Machine(tmp_path, running)


def with_positions(files: dict[str, bytes], folder: Path, positions: int) -> dict[str, bytes]:
    """Return the checkpoint with so many positions, the ones it has repeated: the catalogue promises 512 tokens."""
    folder.mkdir()
    weights = folder / "model.safetensors"
    weights.write_bytes(files["model.safetensors"])
    tensors = load_file(weights)
    for name, tensor in tensors.items():
        if "position_embeddings" in name:
            tensors[name] = np.ascontiguousarray(np.resize(tensor, (positions, tensor.shape[1])))
    save_file(tensors, weights, metadata={"format": "pt"})
    config = {**json.loads(files["config.json"]), "max_position_embeddings": positions}
    return {**files, "model.safetensors": weights.read_bytes(), "config.json": json.dumps(config).encode()}


def test_a_checkpoint_becomes_a_bundle_in_one_go(machine: Machine, tiny_router_checkpoint: Path):
    repository = machine.hub.repositories["tiny/router"] = Repository()
    commit = repository.commit({**files_of(tiny_router_checkpoint), "README.md": APACHE})
    done = machine.models("pull", "tiny/router", "--quantize", "fp32", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    bundle = Bundle.open(machine.folder / "models" / "router")
    assert bundle.manifest.source == f"hf:tiny/router@{commit}"
    assert bundle.manifest.license == "Apache-2.0"
    assert bundle.manifest.query_mode is QueryMode.IDF
    assert printed["fingerprint"] == bundle.fingerprint
    assert printed["commit"] == commit
    assert printed["fp32"]["largest_difference"] <= 1e-3

    machine.hub.requests.clear()
    offline = machine.models("pull", "tiny/router", "elsewhere", "--quantize", "fp32", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    assert machine.hub.requests == []
    assert Bundle.open(machine.folder / "elsewhere").fingerprint == bundle.fingerprint
    assert bundle.fingerprint in offline.stdout

    listed = machine.models("list", "--json")
    assert "router" in [one["name"] for one in json.loads(listed.stdout)]


def test_the_catalogue_fills_in_what_it_knows(machine: Machine, tiny_distilbert_checkpoint: Path):
    files = with_positions(files_of(tiny_distilbert_checkpoint), machine.folder / "longer", 512)
    machine.hub.repositories["naver/splade_v2_max"] = Repository()
    machine.hub.repositories["naver/splade_v2_max"].commit(files)
    refused = machine.models("pull", "splade_v2_max")
    assert refused.returncode == 1
    assert "NOT for commercial use" in refused.stderr
    assert machine.hub.requests == []
    done = machine.models("pull", "splade_v2_max", "--accept-license")
    assert done.returncode == 0, done.stderr
    assert "non-commercial" in done.stdout
    manifest = Bundle.open(machine.folder / "models" / "splade_v2_max").manifest
    assert manifest.license == "CC-BY-NC-SA-4.0"
    assert (manifest.pooling, manifest.activation) == (Pooling.MAX, Activation.LOG1P_RELU)
    assert manifest.max_tokens == 512


def test_cross_encoders_come_by_their_old_names(machine: Machine, tiny_cross_encoder_checkpoint: Path):
    files = with_positions(files_of(tiny_cross_encoder_checkpoint), machine.folder / "longer", 512)
    repository = machine.hub.repositories["cross-encoder/ms-marco-MiniLM-L6-v2"] = Repository()
    repository.commit({**files, "README.md": APACHE}, "v1")
    done = machine.models("pull", "cross-encoder/ms-marco-MiniLM-L-6-v2@v1", "out")
    assert done.returncode == 0, done.stderr
    manifest = Bundle.open(machine.folder / "out").manifest
    assert manifest.kind is ModelKind.CROSS_ENCODER
    assert manifest.name == "ms-marco-MiniLM-L6-v2"
    assert manifest.score_activation is ScoreActivation.IDENTITY
    assert manifest.document_pruning is None or manifest.document_pruning.type is PruningType.NONE


@pytest.mark.parametrize("card", [b"# No header at all\n", b"---\nlicense: other\n---\n", None])
def test_an_unstated_licence_must_be_accepted(machine: Machine, card: bytes | None):
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    machine.hub.repositories["tiny/model"] = Repository()
    machine.hub.repositories["tiny/model"].commit(files if card is None else {**files, "README.md": card})
    done = machine.models("pull", "tiny/model")
    assert done.returncode == 1
    assert "states no licence" in done.stderr
    assert "model.safetensors" not in machine.hub.downloads()


def test_a_non_commercial_licence_on_a_card_must_be_accepted(machine: Machine):
    machine.hub.repositories["tiny/model"] = Repository()
    machine.hub.repositories["tiny/model"].commit({"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    done = machine.models("pull", "tiny/model")
    assert done.returncode == 1
    assert "CC-BY-NC-4.0: NOT for commercial use" in done.stderr


def test_a_checkpoint_that_is_none(machine: Machine):
    machine.hub.repositories["tiny/model"] = Repository()
    machine.hub.repositories["tiny/model"].commit({"README.md": APACHE, "config.json": b"{}"})
    done = machine.models("pull", "tiny/model")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (machine.folder / "models" / "model").exists()


def test_an_unknown_repository(machine: Machine):
    done = machine.models("pull", "tiny/nothing")
    assert done.returncode == 1
    assert "error: The hub has no repository tiny/nothing" in done.stderr


def test_what_can_not_be_exported_is_not_fetched():
    with pytest.raises(UnsupportedCheckpoint, match="import a ready ONNX file instead"):
        pull_model(HubReference.parse("opensearch-neural-sparse-encoding-doc-v3-gte"), PullOptions())


def test_what_lies_there_already_is_kept(tmp_path: Path):
    (tmp_path / "precious").touch()
    with pytest.raises(ExportError, match="exists already"):
        pull_model(HubReference("a/b"), PullOptions(out=tmp_path))


def test_a_licence_is_refused_before_anything_is_fetched(tmp_path: Path):
    with pytest.raises(HubError, match="--accept-license"):
        pull_model(HubReference("naver/splade-v3"), PullOptions(out=tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("---\nlicense: apache-2.0\n---\n", "Apache-2.0"),
        ("---\nlicense: MIT\n---\ntext", "MIT"),
        ("---\nlicense: llama3\n---\n", "llama3"),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", ""),
        ("---\nlanguage: en\n---\n", ""),
        ("---\n- a list\n---\n", ""),
        ("---\nlicense: mit\n: : :\n---\n", ""),
        ("no header", ""),
        ("", ""),
    ],
)
def test_licences_of_cards(tmp_path: Path, content: str, expected: str):
    (tmp_path / "README.md").write_text(content)
    assert read_license(tmp_path / "README.md") == expected


def test_no_card_states_no_licence(tmp_path: Path):
    assert read_license(tmp_path / "README.md") == ""
