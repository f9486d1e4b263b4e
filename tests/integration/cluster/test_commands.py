"""`sidecar setup` and `sidecar index` as a user types them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.support.faults import faulty_proxy
from tests.support.nodes import Node
from tests.support.shell import Shell

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.fixture
def shell(opensearch: Node, sidecar_process: SidecarProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path, opensearch.url, sidecar_process.target)


async def test_from_nothing_to_an_index_with_vectors(
    shell: Shell, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    planned = await shell.run("setup", "--index", index_name, "--dry-run")
    first, _, body = planned.stdout.partition("\n")
    assert first == f"PUT /{index_name}"
    assert not await engine.index_exists(index_name)

    await shell.run("setup", "--index", index_name)
    meta = orjson.loads(body)["mappings"]["_meta"]["splade_sidecar"]
    assert (await engine.index_meta(index_name)).model_dump(mode="json") == meta
    again = await shell.run("setup", "--index", index_name)
    assert again.stdout == ""
    assert "already" in again.stderr

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = [{"_id": f"d{n}", "title": "search", "text": f"the query {n}"} for n in range(30)]
    (corpus / "corpus.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    indexed = await shell.run("index", str(corpus), "--index", index_name, "--json")
    figures = orjson.loads(indexed.stdout)
    assert (figures["read"], figures["written"], figures["failed"], figures["left"]) == (30, 30, 0, 0)
    assert await engine.count(index_name) == 30
    assert not list(tmp_path.glob("dead-letters*"))

    (tmp_path / "more.jsonl").write_text('{"_id": "d30", "text": "the document"}\n{broken\n')
    partly = await shell.run("index", "more.jsonl", "--index", index_name, code=3)
    assert "1 of 2 documents were not written" in partly.stderr.replace("\n", " ")
    (letters,) = tmp_path.glob(f"dead-letters-{index_name}-*.jsonl")
    assert orjson.loads(letters.read_bytes())["reason"] == "MALFORMED_LINE"
    assert await engine.count(index_name) == 31


async def test_a_dry_run_sends_nothing_that_changes_anything(shell: Shell, opensearch: Node, index_name: str) -> None:
    async with faulty_proxy(opensearch.url) as proxy:
        await replace(shell, engine=proxy.url).run("setup", "--index", index_name, "--dry-run")
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
async def test_mistakes_are_one_line_and_exit_code_1(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    done = await shell.run(*arguments, code=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error:")
