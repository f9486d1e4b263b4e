"""The process's phases, as probes see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from sidecar import __version__
from sidecar.domain import ModelInfo, ModelKind
from sidecar.server.state import Phase, ServerState

MODEL = ModelInfo(
    name="tiny",
    kind=ModelKind.SPARSE_ENCODER,
    fingerprint="f" * 64,
    license="Apache-2.0",
    max_tokens=128,
    vocabulary_size=100,
    quantization="fp32",
)


def test_a_new_process_is_live_and_not_ready():
    state = ServerState()
    assert (state.phase, state.live, state.ready, state.started) == (Phase.STARTING, True, False, False)


def test_ready_then_draining():
    state = ServerState()
    state.become_ready((MODEL,), threads=2)
    assert (state.live, state.ready, state.started) == (True, True, True)
    state.begin_draining()
    assert (state.phase, state.live, state.ready, state.started) == (Phase.DRAINING, True, False, True)


def test_a_drain_during_warm_up_is_not_undone():
    state = ServerState()
    state.begin_draining()
    state.become_ready((MODEL,), threads=2)
    assert not state.ready
    assert state.phase is Phase.DRAINING


def test_build_info_names_versions_threads_and_fingerprints():
    state = ServerState()
    state.become_ready((MODEL,), threads=3)
    info = orjson.loads(orjson.dumps(state.build_info()))
    assert info["version"] == __version__
    assert info["threads"] == 3
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(info["started_at"]) < timedelta(minutes=1)
    assert info["providers"] == ["cpu"]
    assert {"grpcio", "onnxruntime"} <= info["libraries"].keys()
    expected = {"name": "tiny", "kind": "sparse-encoder", "fingerprint": "f" * 64, "quantization": "fp32"}
    assert info["models"] == [expected]
