"""Coming up and going down: probes, ready file, drains, second signals, kills."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import orjson
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.lib.no_integration_skips import OUT_OF_REACH
from sidecar.client import AsyncSidecarClient, SidecarClient
from sidecar.domain import EncodeResult
from sidecar.errors import BundleCorrupt, BundleNotFound, SettingsInvalid, SidecarError, SidecarUnavailable
from sidecar.server.grpc import GrpcServer
from sidecar.server.lifecycle import Lifecycle
from sidecar.server.process import SidecarProcess
from sidecar.settings import Settings, load_settings
from tests.support.sidecars import HEAVY_TEXT

pytestmark = [pytest.mark.integration, pytest.mark.faults]

LONG_WORK = [HEAVY_TEXT] * 800

IN_FLIGHT = 'requests_in_flight{method="/sidecar.v1.SparseEncoder/Encode"} 1.0'


def settings(bundles: tuple[Path, ...], **more: object) -> Settings:
    ports = {"grpc_port": 0, "http_port": 0, "admin_port": 0}
    return load_settings(**{"models": ",".join(map(str, bundles)), "threads": 1, **ports, **more})


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


class Background:
    """One long call in a thread."""

    def __init__(self, process: SidecarProcess) -> None:
        self.outcome: EncodeResult | SidecarError | None = None
        self.ended = 0.0
        self._process = process
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        eventually(lambda: IN_FLIGHT in self._metrics())

    def join(self) -> EncodeResult | SidecarError | None:
        self._thread.join(120)
        return self.outcome

    def _run(self) -> None:
        with SidecarClient(self._process.target, timeout=120.0) as client:
            try:
                self.outcome = client.encode(LONG_WORK)
            except SidecarError as error:
                self.outcome = error
            self.ended = time.monotonic()

    def _metrics(self) -> str:
        return httpx.get(f"{self._process.admin_url}/metrics", timeout=30.0).text


async def test_the_admin_port_answers_before_the_models_are_loaded(tiny_bundles: tuple[Path, ...]) -> None:
    lifecycle = Lifecycle(settings(tiny_bundles))
    starting = asyncio.create_task(lifecycle.start())
    seen = {}
    async with httpx.AsyncClient(timeout=30.0) as http:
        while not starting.done() and len(seen) < 3:
            await asyncio.sleep(0)
            if lifecycle._admin is not None and lifecycle._admin._server.started:
                for probe in ("livez", "readyz", "startupz"):
                    seen[probe] = (await http.get(f"http://127.0.0.1:{lifecycle._admin.port}/{probe}")).status_code
        assert seen == {"livez": 200, "readyz": 503, "startupz": 503}
        ports = await starting
        for probe in seen:
            seen[probe] = (await http.get(f"http://127.0.0.1:{ports.admin_port}/{probe}")).status_code
    await lifecycle.stop()
    assert seen == {"livez": 200, "readyz": 200, "startupz": 200}


async def test_the_ready_file_has_the_ports_and_goes_with_the_drain(
    tiny_bundles: tuple[Path, ...], tmp_path: Path
) -> None:
    ready = tmp_path / "ready.json"
    lifecycle = Lifecycle(settings(tiny_bundles, ready_file=ready))
    ports = await lifecycle.start()
    assert orjson.loads(ready.read_bytes()) == {
        "grpc_port": ports.grpc_port,
        "http_port": ports.http_port,
        "admin_port": ports.admin_port,
    }
    assert len({ports.grpc_port, ports.http_port, ports.admin_port}) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]
    await lifecycle.stop()
    assert list(tmp_path.iterdir()) == []


async def test_a_ready_file_that_can_not_be_written_is_named_before_anything_is_loaded(
    tiny_bundles: tuple[Path, ...], tmp_path: Path
) -> None:
    lifecycle = Lifecycle(settings((tmp_path / "no-such-bundle",), ready_file=tmp_path / "no" / "such" / "folder"))
    with pytest.raises(SettingsInvalid) as raised:
        await lifecycle.start()
    assert raised.value.field == "ready_file"
    assert not lifecycle.state.started


async def test_a_start_that_fails_leaves_the_ready_file_of_one_that_runs(
    start_sidecar, tiny_bundles: tuple[Path, ...], tmp_path: Path
) -> None:
    ready = tmp_path / "ready.json"
    first = await start_sidecar(ready_file=ready)
    content = ready.read_bytes()
    for failing in (
        settings(tiny_bundles, ready_file=ready, http_port=first.http_port),
        settings((tmp_path / "no-such-bundle",), ready_file=ready),
    ):
        with pytest.raises(SidecarError):
            await Lifecycle(failing).start()
        assert ready.read_bytes() == content
    await first.lifecycle.stop()
    assert not ready.exists()


async def test_the_ready_file_of_one_that_was_killed_is_gone_before_the_models_are_loaded(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_bytes(b'{"grpc_port":1,"http_port":2,"admin_port":3}')
    with pytest.raises(BundleNotFound):
        await Lifecycle(settings((tmp_path / "no-such-bundle",), ready_file=ready)).start()
    assert list(tmp_path.iterdir()) == []


async def test_the_error_that_ended_the_start_is_the_one_that_is_raised(
    tiny_bundles: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: GrpcServer) -> int:
        raise SettingsInvalid("The port can't be opened.", field="grpc_port")

    async def broken(_: object, grace: float) -> None:
        raise RuntimeError(f"stopped with {grace}")

    monkeypatch.setattr(GrpcServer, "start", refused)
    monkeypatch.setattr(GrpcServer, "stop", broken)
    lifecycle = Lifecycle(settings(tiny_bundles))
    with structlog.testing.capture_logs() as logged, pytest.raises(SettingsInvalid):
        await lifecycle.start()
    (line,) = [line for line in logged if line["event"] == "could not be stopped"]
    assert (line["server"], line["error"]) == ("GrpcServer", "RuntimeError")
    assert lifecycle._admin is None
    assert lifecycle._http is None


async def test_nobody_is_sent_to_a_grpc_port_that_is_not_open_yet(
    tiny_bundles: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[bool] = []
    start = GrpcServer.start

    async def watched(server: GrpcServer) -> int:
        ready.append(lifecycle.state.ready)
        return await start(server)

    monkeypatch.setattr(GrpcServer, "start", watched)
    lifecycle = Lifecycle(settings(tiny_bundles))
    await lifecycle.start()
    ready.append(lifecycle.state.ready)
    await lifecycle.stop()
    assert ready == [False, True]


async def test_two_colons_are_all_addresses_of_both_kinds(start_sidecar) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip(OUT_OF_REACH + "there is no IPv6 here")
    sidecar = await start_sidecar(bind="::", admin_bind="::")
    for host in ("127.0.0.1", "[::1]"):
        async with AsyncSidecarClient(f"{host}:{sidecar.grpc_port}", timeout=60.0) as client:
            assert await client.models()
        async with httpx.AsyncClient(timeout=60.0) as http:
            assert (await http.get(f"http://{host}:{sidecar.http_port}/v1/models")).status_code == 200
            assert (await http.get(f"http://{host}:{sidecar.admin_port}/readyz")).status_code == 200


async def test_two_sidecars_never_share_a_port(start_sidecar, tiny_bundles: tuple[Path, ...]) -> None:
    first = await start_sidecar()
    for name in ("grpc_port", "http_port", "admin_port"):
        second = Lifecycle(settings(tiny_bundles, **{name: getattr(first, name)}))
        with pytest.raises(SettingsInvalid) as raised:
            await second.start()
        assert raised.value.field == name


async def test_health_watchers_learn_of_the_drain_and_do_not_hold_it_up(start_sidecar) -> None:
    sidecar = await start_sidecar(drain_delay=0.3, drain_grace=60.0)
    async with grpc.aio.insecure_channel(sidecar.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="sidecar.v1.Reranker"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        begin = time.monotonic()
        stopping = asyncio.create_task(sidecar.lifecycle.stop())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await stopping
    assert time.monotonic() - begin < 20.0


def test_a_drain_is_announced_before_calls_are_refused(tiny_bundles: tuple[Path, ...]) -> None:
    with (
        SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_delay": 6.0}) as process,
        SidecarClient(process.target, timeout=30.0) as client,
        httpx.Client(base_url=process.http_url, trust_env=False) as kept,
    ):
        assert client.health()
        assert "connection" not in kept.get("/v1/models").headers
        process.signal(signal.SIGTERM)
        eventually(lambda: httpx.get(f"{process.admin_url}/readyz").status_code == 503, 5.0)
        assert httpx.get(f"{process.admin_url}/livez").status_code == 200
        assert not client.health()
        assert not client.health("sidecar.v1.SparseEncoder/tiny-sparse")
        assert client.encode(["still served"]).encodings
        last = kept.get("/v1/models")
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        assert process.wait(60.0) == 0
        with pytest.raises(SidecarUnavailable):
            client.encode(["too late"])


def test_a_call_that_outlasts_the_grace_is_ended(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1, "drain_grace": 0.2}) as process:
        call = Background(process)
        process.signal(signal.SIGTERM)
        assert process.wait(60.0) == 0
        assert isinstance(call.join(), SidecarError)


def test_kill_in_the_middle_of_a_call_is_seen_at_once(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        call = Background(process)
        begin = time.monotonic()
        process.kill()
        outcome = call.join()
        assert isinstance(outcome, SidecarUnavailable), outcome
        assert call.ended - begin < 10.0


def test_a_client_finds_the_sidecar_again_after_a_restart(tiny_bundles: tuple[Path, ...]) -> None:
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as first:
        port = int(first.target.rpartition(":")[2])
        with SidecarClient(first.target, timeout=30.0) as client:
            assert client.encode(["some text"]).encodings
            first.kill()
            with pytest.raises(SidecarUnavailable):
                client.encode(["some text"])
            with SidecarProcess(tiny_bundles, settings={"threads": 1, "grpc_port": port}):
                eventually(lambda: reachable(client), 15.0)


def reachable(client: SidecarClient) -> bool:
    try:
        return bool(client.encode(["some text"]).encodings)
    except SidecarUnavailable:
        return False


def test_a_flipped_byte_keeps_the_sidecar_from_starting(tiny_bundles: tuple[Path, ...], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundles[0], broken)
    graph = bytearray((broken / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (broken / "model.onnx").write_bytes(graph)
    process = SidecarProcess([broken], settings={"log_level": "error"})
    with pytest.raises(SidecarUnavailable) as raised:
        process.start()
    assert "code 1" in raised.value.message
    assert "model.onnx" in raised.value.message
    assert "Traceback" not in raised.value.message


async def test_a_corrupt_bundle_is_raised_and_the_admin_port_closed(
    tiny_bundles: tuple[Path, ...], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundles[2], broken)
    (broken / "tokenizer.json").write_bytes((broken / "tokenizer.json").read_bytes() + b" ")
    lifecycle = Lifecycle(settings((broken,)))
    with pytest.raises(BundleCorrupt):
        await lifecycle.start()
    assert lifecycle._admin is None


def test_stopping_twice_or_before_the_start_is_harmless(tiny_bundles: tuple[Path, ...]) -> None:
    process = SidecarProcess(tiny_bundles)
    assert process.stop() is None
    with pytest.raises(SidecarUnavailable):
        _ = process.pid
    with SidecarProcess(tiny_bundles, settings={"threads": 1}) as process:
        assert process.pid > 0
        assert process.stop() == 0
    with pytest.raises(SettingsInvalid):
        SidecarProcess(["a,b"])
