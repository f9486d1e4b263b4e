"""The local node as a process: started, found, killed, started again, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from sidecar.engine import BulkAction, BulkPolicy, Engine
from sidecar.engine.local import LocalNode
from sidecar.errors import LocalNodeError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def health(url: str) -> dict[str, object]:
    with urlopen(f"{url}/_cluster/health", timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
    return found


@pytest.mark.faults
def test_a_node_killed_in_the_middle_of_a_bulk_loses_nothing_it_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "data"
    policy = BulkPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, max_items=20, timeout=10.0)

    async def write_until_killed(node: LocalNode) -> list[str]:
        confirmed: list[str] = []
        async with await Engine.connect(node.url, bulk=policy) as engine:
            await engine.create_index("kept", {"mappings": {"properties": {"n": {"type": "integer"}}}})
            for round_ in range(10_000):
                items = await engine.bulk([BulkAction("kept", f"{round_}-{n}", {"n": n}) for n in range(100)])
                confirmed += [item.action.id for item in items if item.written]
                if round_ == 2:
                    asyncio.get_running_loop().call_later(0.02, os.kill, node.pid, signal.SIGKILL)
                if not all(item.written for item in items):
                    assert any(item.unreachable for item in items)
                    return confirmed
        raise AssertionError("The node was killed and nobody noticed.")

    async def read(node: LocalNode) -> set[str]:
        async with await Engine.connect(node.url) as engine:
            await engine.refresh("kept")
            body = {"query": {"match_all": {}}, "size": 10_000, "_source": False}
            return {hit.id for hit in (await engine.search("kept", body)).hits}

    with LocalNode(port=0, path=path, heap="512m") as node:
        pid = node.pid
        assert health(node.url)["status"] == "green"
        confirmed = asyncio.run(write_until_killed(node))
        assert len(confirmed) >= 300
        with pytest.raises(LocalNodeError, match="ended"):
            node.require_running()
    assert not alive(pid)
    with LocalNode(port=0, path=path, heap="512m") as node:
        assert set(confirmed) <= asyncio.run(read(node))
        pid = node.pid
    assert not alive(pid)
    assert any(path.iterdir()), "the data stay where a path was given"


def test_a_node_ends_with_the_process_that_started_it() -> None:
    script = (
        "import sys, time\n"
        "from sidecar.engine.local import LocalNode\n"
        "node = LocalNode(port=0, heap='512m').start()\n"
        "print(node.pid, node.log_file.parent, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pid, folder = owner.stdout.readline().split()
    assert alive(int(pid))
    owner.kill()
    owner.wait()
    assert gone_within(int(pid), 30)
    deadline = time.monotonic() + 10
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()


@pytest.mark.e2e
def test_the_command_runs_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "sidecar", "opensearch", "up", "--port", "0", "--heap", "512m"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert health(url)["number_of_nodes"] == 1
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Ctrl-C stops it" in errors
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{url}/", timeout=5)


def test_a_start_that_fails_shows_the_end_of_the_log() -> None:
    node = LocalNode(port=0, heap="1m")
    with pytest.raises(LocalNodeError, match=r"ended while starting[\s\S]*heap"):
        node.start()
    with pytest.raises(LocalNodeError):
        _ = node.pid


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LocalNodeError, match="data folder"):
        LocalNode(port=0, path=tmp_path / "file").start()
