"""Connections that nobody authenticated, more than the process may open files: probes, callers and log stay whole."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest

from sidecar.client import SidecarClient
from sidecar.errors import SidecarUnavailable

pytestmark = [pytest.mark.integration, pytest.mark.faults]

FILES = 96
FLOOD = 110


@dataclass(frozen=True)
class Tight:
    """A sidecar that may open few files."""

    ports: dict[str, int]
    log: Path

    def flood(self, stack: ExitStack, port: str) -> None:
        """Connect more often than files may be open; every other caller begins a request, and never ends it."""
        for number in range(FLOOD):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(60.0)
            try:
                connection.connect(("127.0.0.1", self.ports[port]))
                connection.sendall(b"GET / HTTP/1.1\r\n" * (number % 2))
            except OSError:
                continue

    def probe(self, name: str) -> int:
        return httpx.get(f"http://127.0.0.1:{self.ports['admin_port']}/{name}", timeout=60.0).status_code


@pytest.fixture(scope="module")
def tight(tiny_sparse_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tight]:
    folder = tmp_path_factory.mktemp("tight")
    ready, log = folder / "ready.json", folder / "log"
    ports = "--grpc-port 0 --http-port 0 --admin-port 0 --threads 1"
    command = f'ulimit -n {FILES} && exec "$0" -m sidecar serve {ports} --models "$1" --ready-file "$2" --auth-token x'
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", command, sys.executable, str(tiny_sparse_bundle), str(ready)], stderr=output
        )
    try:
        eventually(lambda: ready.exists() or process.poll() is not None, 300.0)
        assert process.poll() is None, log.read_text()
        yield Tight(orjson.loads(ready.read_bytes()), log)
    finally:
        process.terminate()
        process.wait(60.0)


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_silent_connections_to_every_port_at_once(tight: Tight) -> None:
    begin = tight.log.stat().st_size
    with ExitStack() as stack:
        for port in ("http_port", "grpc_port", "admin_port"):
            tight.flood(stack, port)
        for _ in range(5):
            assert [tight.probe(name) for name in ("livez", "readyz", "startupz")] == [200, 200, 200]
        url = f"http://127.0.0.1:{tight.ports['http_port']}/v1/models"
        assert httpx.get(url, headers={"authorization": "Bearer x"}, timeout=60.0).status_code == 200
        # Silent gRPC connections are closed when they have shown for long enough that they speak no HTTP/2.
        eventually(lambda: answers(tight))
    lines = tight.log.read_bytes()[begin:].splitlines()
    assert len(lines) < 20, b"\n".join(lines[:20]).decode()


def answers(tight: Tight) -> bool:
    with SidecarClient(f"127.0.0.1:{tight.ports['grpc_port']}", token="x", timeout=60.0) as client:
        try:
            return bool(client.encode(["some text"]).encodings)
        except SidecarUnavailable:
            return False
