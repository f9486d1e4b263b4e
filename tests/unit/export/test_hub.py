"""Fetching from a hub on the loopback interface, each time in a process of its own: the environment is what counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar.errors import HubError
from sidecar.export.hub import HubReference
from tests.support.hub import Hub, Repository, hub

FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights, version 1",
    "pytorch_model.bin": b"pickled weights",
    "tokenizer.json": b"{}",
    "1_SpladePooling/config.json": b'{"pooling_strategy": "max"}',
    "onnx/model.onnx": b"graph",
    "onnx/config.json": b"{}",
    "flax_model.msgpack": b"flax",
}

PROGRAM = """
import json, sys
from sidecar.errors import HubError
from sidecar.export.hub import HubReference, fetch_card, fetch_checkpoint
try:
    fetch = fetch_card if sys.argv[2:] == ["card"] else fetch_checkpoint
    found = fetch(HubReference.parse(sys.argv[1]))
except HubError as error:
    print(json.dumps({"error": error.message}))
else:
    files = sorted(path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*") if path.is_file())
    print(json.dumps({"commit": found.commit, "source": found.source, "files": files, "folder": str(found.folder)}))
"""


@dataclass
class Client:
    """A machine of its own: empty home, empty cache, no token, and the hub's address."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def fetch(self, *arguments: str, **more: str) -> dict[str, object]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = {
            **inherited,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **self.environment,
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def model_hub() -> Iterator[Hub]:
    with hub() as running:
        running.repositories["tiny/model"] = Repository()
        running.repositories["tiny/model"].commit(FILES)
        yield running


@pytest.fixture
def client(model_hub: Hub, tmp_path: Path) -> Client:
    return Client(tmp_path / "hf", {"HF_ENDPOINT": model_hub.url})


def test_fetches_what_an_export_reads_and_nothing_else(model_hub: Hub, client: Client):
    found = client.fetch("tiny/model")
    commit = model_hub.repositories["tiny/model"].references["main"]
    assert found["commit"] == commit
    assert found["source"] == f"hf:tiny/model@{commit}"
    assert found["files"] == [
        "1_SpladePooling/config.json",
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert sorted(model_hub.downloads()) == found["files"]
    assert (Path(str(found["folder"])) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert Path(str(found["folder"])).is_relative_to(client.home)


def test_fetches_pickled_weights_only_where_there_are_no_others(model_hub: Hub, client: Client):
    old = {name: data for name, data in FILES.items() if not name.endswith(".safetensors")}
    model_hub.repositories["tiny/model"].commit({**old, "query_0_SparseStaticEmbedding/model.safetensors": b"idf"})
    found = client.fetch("tiny/model")
    assert "pytorch_model.bin" in list(found["files"])  # type: ignore[call-overload]


def test_the_card_alone_costs_one_file(model_hub: Hub, client: Client):
    assert client.fetch("tiny/model", "card")["files"] == ["README.md"]
    assert model_hub.downloads() == ["README.md"]


def test_a_second_fetch_comes_from_the_cache(model_hub: Hub, client: Client):
    first = client.fetch("tiny/model")
    model_hub.requests.clear()
    assert client.fetch("tiny/model") == first
    assert model_hub.downloads() == []


def test_revisions_by_branch_tag_and_commit(model_hub: Hub, client: Client):
    repository = model_hub.repositories["tiny/model"]
    first = repository.references["main"]
    second = repository.commit({**FILES, "model.safetensors": b"weights, version 2"}, "v2")
    assert client.fetch("tiny/model")["commit"] == first
    assert client.fetch("tiny/model@v2")["commit"] == second
    by_commit = client.fetch(f"tiny/model@{second}")
    assert by_commit["commit"] == second
    assert (Path(str(by_commit["folder"])) / "model.safetensors").read_bytes() == b"weights, version 2"


def test_an_unknown_revision(client: Client):
    assert client.fetch("tiny/model@nowhere")["error"] == "tiny/model has no revision nowhere: check the name."


def test_an_unknown_repository(client: Client):
    error = str(client.fetch("tiny/other")["error"])
    assert error.startswith("The hub has no repository tiny/other")
    assert "HF_TOKEN" in error


def test_the_token_is_sent_and_opens_a_private_repository(model_hub: Hub, client: Client):
    model_hub.repositories["tiny/model"].token = "hf_secret"
    found = client.fetch("tiny/model", HF_TOKEN="hf_secret")
    assert "commit" in found
    assert {authorization for _, _, authorization in model_hub.requests} == {"Bearer hf_secret"}


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_a_private_repository_without_the_right_token(model_hub: Hub, client: Client, token: str):
    model_hub.repositories["tiny/model"].token = "hf_secret"
    error = str(client.fetch("tiny/model", HF_TOKEN=token)["error"])
    assert error.startswith("The hub refused access to tiny/model (40")
    assert "HF_TOKEN" in error
    assert "hf_" not in error


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_a_gated_repository(model_hub: Hub, client: Client, token: str):
    model_hub.repositories["tiny/model"].token = "hf_secret"
    model_hub.repositories["tiny/model"].gated = True
    error = str(client.fetch("tiny/model", HF_TOKEN=token)["error"])
    assert error.startswith("tiny/model is gated: accept its conditions")


def test_a_failing_hub(model_hub: Hub, client: Client):
    model_hub.repositories["tiny/model"].status = 503
    assert client.fetch("tiny/model")["error"] == "The hub answered 503 for tiny/model: try again later."


@pytest.mark.parametrize(
    "setting",
    [
        {"HF_ENDPOINT": "hub.example"},
        {"HTTP_PROXY": "http://user:secret@127.0.0.1:9", "http_proxy": "http://user:secret@127.0.0.1:9"},
        {"HTTP_PROXY": "nonsense://127.0.0.1:9", "http_proxy": "nonsense://127.0.0.1:9"},
    ],
)
def test_addresses_that_are_none_and_proxies_that_are_gone(client: Client, setting: dict[str, str]):
    error = str(client.fetch("tiny/model", **setting)["error"])
    assert "HF_ENDPOINT" in error
    assert "secret" not in error


@pytest.mark.parametrize("token", ["hf_secret\u00e9", "hf_secret\x0bx"])
def test_a_token_that_is_none_is_not_repeated(client: Client, token: str):
    error = str(client.fetch("tiny/model", HF_TOKEN=token)["error"])
    assert "HF_TOKEN" in error or "HF_ENDPOINT" in error
    assert "secret" not in error


def test_a_cache_that_can_not_be_written(client: Client, tmp_path: Path):
    (tmp_path / "file").touch()
    error = str(client.fetch("tiny/model", HF_HOME=str(tmp_path / "file" / "hf"))["error"])
    assert error.startswith(f"The hub's cache ({tmp_path}/file/hf/hub) can't be written (Not a directory)")
    assert "HF_HOME" in error


def test_offline_from_the_cache(model_hub: Hub, client: Client):
    online = client.fetch("tiny/model")
    model_hub.requests.clear()
    assert client.fetch("tiny/model", HF_HUB_OFFLINE="1") == online
    assert model_hub.requests == []


def test_offline_and_not_in_the_cache(model_hub: Hub, client: Client):
    error = str(client.fetch("tiny/model", HF_HUB_OFFLINE="1")["error"])
    assert error.startswith("tiny/model is not in the cache")
    assert "HF_HUB_OFFLINE" in error
    assert model_hub.requests == []


def test_the_hub_is_gone(client: Client, tmp_path: Path):
    with hub() as short_lived:
        address = short_lived.url
    gone = Client(tmp_path / "other", {"HF_ENDPOINT": address})
    error = str(gone.fetch("tiny/model")["error"])
    assert error.startswith(f"The hub at {address} can't be reached, and tiny/model is not in the cache")
    assert "HF_ENDPOINT" in error


def test_the_hub_is_gone_and_the_cache_has_it(model_hub: Hub, client: Client):
    online = client.fetch("tiny/model")
    with hub() as short_lived:
        address = short_lived.url
    assert client.fetch("tiny/model", HF_ENDPOINT=address) == online


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", HubReference("owner/name")),
        ("owner/name@v1.0", HubReference("owner/name", "v1.0")),
        ("hf:owner/name@refs/pr/3", HubReference("owner/name", "refs/pr/3")),
        ("splade-v3", HubReference("naver/splade-v3")),
        ("SPLADE-v3@abc", HubReference("naver/splade-v3", "abc")),
        ("cross-encoder/ms-marco-MiniLM-L-6-v2", HubReference("cross-encoder/ms-marco-MiniLM-L6-v2")),
    ],
)
def test_references(text: str, expected: HubReference):
    assert HubReference.parse(text) == expected


@pytest.mark.parametrize("text", ["", "name-nobody-knows", "a/b/c", "a b/c", "../etc", "owner/name@two words"])
def test_references_that_name_nothing(text: str):
    with pytest.raises(HubError, match="names no repository"):
        HubReference.parse(text)


def test_a_reference_reads_as_it_is_written():
    assert str(HubReference("owner/name", "v1")) == "owner/name@v1"
    assert str(HubReference("owner/name")) == "owner/name"
