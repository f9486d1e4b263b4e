"""`sidecar setup` and `sidecar index` as a user types them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.support.faults import faulty_proxy
from tests.support.nodes import Node

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sidecar(opensearch: Node, sidecar_process: SidecarProcess, tmp_path: Path) -> Command:
    environment = {**os.environ, "SIDECAR_ENGINE": opensearch.url, "SIDECAR_TARGET": sidecar_process.target}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sidecar", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**environment, **more},
            timeout=240,
        )

    return run


async def test_from_nothing_to_an_index_with_vectors(
    sidecar: Command, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    planned = await asyncio.to_thread(sidecar, "setup", "--index", index_name, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    first, _, body = planned.stdout.partition("\n")
    assert first == f"PUT /{index_name}"
    assert not await engine.index_exists(index_name)

    made = await asyncio.to_thread(sidecar, "setup", "--index", index_name)
    assert made.returncode == 0, made.stderr
    meta = orjson.loads(body)["mappings"]["_meta"]["splade_sidecar"]
    assert (await engine.index_meta(index_name)).model_dump(mode="json") == meta
    again = await asyncio.to_thread(sidecar, "setup", "--index", index_name)
    assert (again.returncode, again.stdout) == (0, "")
    assert "already" in again.stderr

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = [{"_id": f"d{n}", "title": "search", "text": f"the query {n}"} for n in range(30)]
    (corpus / "corpus.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    indexed = await asyncio.to_thread(sidecar, "index", str(corpus), "--index", index_name, "--json")
    assert indexed.returncode == 0, indexed.stderr
    figures = orjson.loads(indexed.stdout)
    assert (figures["read"], figures["written"], figures["failed"], figures["left"]) == (30, 30, 0, 0)
    assert await engine.count(index_name) == 30
    assert not list(tmp_path.glob("dead-letters*"))

    (tmp_path / "more.jsonl").write_text('{"_id": "d30", "text": "the document"}\n{broken\n')
    partly = await asyncio.to_thread(sidecar, "index", "more.jsonl", "--index", index_name)
    assert partly.returncode == 3, partly.stderr
    assert "1 of 2 documents were not written" in partly.stderr.replace("\n", " ")
    (letters,) = tmp_path.glob(f"dead-letters-{index_name}-*.jsonl")
    assert orjson.loads(letters.read_bytes())["reason"] == "MALFORMED_LINE"
    assert await engine.count(index_name) == 31


async def test_a_dry_run_sends_nothing_that_changes_anything(
    sidecar: Command, opensearch: Node, index_name: str
) -> None:
    async with faulty_proxy(opensearch.url) as proxy:
        done = await asyncio.to_thread(sidecar, "setup", "--index", index_name, "--dry-run", SIDECAR_ENGINE=proxy.url)
    assert done.returncode == 0, done.stderr
    assert {method for method, _ in proxy.requests} == {"GET"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("setup", "--index", "test-x", "--model", "nobody"), "serves"),
        (("setup", "--index", "test-x", "--engine", "http://127.0.0.1:9"), "No cluster answers"),
        (("setup", "--index", "test-x", "--engine", "nonsense"), "must look like"),
        (("setup", "--index", "test-x", "--source-field", "a.b"), "no dots"),
        (("index", "/nowhere.jsonl", "--index", "test-x"), "can't be read"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(sidecar: Command, arguments: tuple[str, ...], message: str) -> None:
    done = sidecar(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error:")
