"""Signals end `sidecar index` in an orderly way: what was read is written and told, and running it again is safe."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.support.faults import Silence, faulty_proxy
from tests.support.nodes import Node
from tests.support.shell import Shell, ended

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.fixture
def shell(opensearch: Node, sidecar_process: SidecarProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path, opensearch.url, sidecar_process.target)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_indexing_in_an_orderly_way(
    hangups: None, shell: Shell, engine: Engine, index_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    await shell.run("setup", "--index", index_name)
    os.mkfifo(tmp_path / "documents.jsonl")
    process = await shell.start("index", "documents.jsonl", "--index", index_name, "--json")
    # Opening a pipe waits for the other side; the writer keeps it open, so that the run waits for more documents.
    with await asyncio.to_thread((tmp_path / "documents.jsonl").open, "wb", buffering=0) as pipe:
        for n in range(64):
            pipe.write(orjson.dumps({"_id": f"d{n}", "text": f"the query {n}"}) + b"\n")
        while await engine.count(index_name) == 0:
            assert process.returncode is None
            await asyncio.sleep(0.2)
            await engine.refresh(index_name)
        process.send_signal(number)
        done = await ended(process, 3)
    figures = orjson.loads(done.stdout)
    assert figures["read"] == figures["written"] == await engine.count(index_name) > 0
    assert (figures["failed"], figures["left"]) == (0, 0)
    assert "stopped before all documents were read" in done.stderr

    (tmp_path / "whole.jsonl").write_bytes(
        b"\n".join(orjson.dumps({"_id": f"d{n}", "text": f"the query {n}"}) for n in range(64))
    )
    again = await shell.run("index", "whole.jsonl", "--index", index_name, "--json")
    assert orjson.loads(again.stdout)["written"] == await engine.count(index_name) == 64


async def test_a_second_signal_ends_indexing_at_once(
    shell: Shell, opensearch: Node, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    await shell.run("setup", "--index", index_name)
    (tmp_path / "documents.jsonl").write_bytes(
        b"\n".join(orjson.dumps({"_id": f"d{n}", "text": "the query"}) for n in range(9))
    )
    async with faulty_proxy(opensearch.url) as proxy:
        proxy.play([Silence(3_600)])
        process = await replace(shell, engine=proxy.url).start(
            "index", "documents.jsonl", "--index", index_name, "--json"
        )
        while not any("_bulk" in path for _, path in proxy.requests):
            assert process.returncode is None
            await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.0)
        assert process.returncode is None, "what is under way is waited for"
        process.send_signal(signal.SIGTERM)
        done = await ended(process, 128 + signal.SIGTERM)
    assert orjson.loads(done.stdout)["left"] == 9
    assert "Traceback" not in done.stderr
