"""`sidecar reconcile`, `sidecar retry` and `sidecar index` of tables, as a user types them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import orjson
import pytest

from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.support.bare import fill
from tests.support.nodes import Node
from tests.support.shell import Shell, ended

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.fixture
def shell(opensearch: Node, sidecar_process: SidecarProcess, tmp_path: Path) -> Shell:
    return Shell(tmp_path, opensearch.url, sidecar_process.target)


async def test_from_letters_to_a_whole_index(shell: Shell, engine: Engine, bare_index: str, tmp_path: Path) -> None:
    await fill(engine, bare_index, 20)
    await engine.send("POST", f"/{bare_index}/_update/d3?refresh=true", {"doc": {"text": "lamp " * 900}})
    arguments = ("--index", bare_index, "--json", "--slices", "2", "--rate", "500")
    partly = await shell.run("reconcile", *arguments, "--max-text-bytes", "1000", code=3)
    figures = orjson.loads(partly.stdout)
    assert (figures["found"], figures["written"], figures["failed"], figures["left"]) == (20, 19, 1, 0)
    assert "1 documents could not be encoded" in partly.stderr
    (letters,) = tmp_path.glob(f"dead-letters-{bare_index}-*.jsonl")
    retried = await shell.run("retry", letters.name, "--json")
    assert orjson.loads(retried.stdout) == {"letters": 1, "resolved": 1, "failed": 0, "kept": 0}
    assert not list(tmp_path.iterdir())
    assert "found 0" in (await shell.run("reconcile", "--index", bare_index, "--no-changed")).stderr


async def test_following_ends_cleanly(shell: Shell, engine: Engine, bare_index: str) -> None:
    meta = await engine.index_meta(bare_index)
    present = engine.dialect.presence_filter(meta.vector_field, meta.fingerprint)
    await fill(engine, bare_index, 5)
    process = await shell.start("reconcile", "--index", bare_index, "--follow", "--interval", "1", "--json")
    while await engine.count(bare_index, present) < 5:
        assert process.returncode is None
        await asyncio.sleep(1.0)
        await engine.refresh(bare_index)
    process.send_signal(signal.SIGTERM)
    assert orjson.loads((await ended(process)).stdout)["written"] == 5


async def test_tables_are_indexed(shell: Shell, engine: Engine, bare_index: str, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("sku,text,price\na1,A lamp,3\na2,A kettle,\n")
    (tmp_path / "two.jsonl").write_text('{"sku": "a3", "text": "A chair", "price": 9}\n')
    command = ("index", "one.csv", "two.jsonl", "--index", bare_index, "--id-field", "sku", "--no-frequencies")
    done = await shell.run(*command, "--json")
    assert orjson.loads(done.stdout)["written"] == 3
    stored = await engine.get(bare_index, "a2")
    assert stored is not None
    assert (stored["text"], stored["sku"], "price" in stored) == ("A kettle", "a2", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reconcile", "--index", "test-no-such-index"), "does not exist"),
        (("reconcile", "--index", "x", "--where", "{nonsense"), "no valid JSON"),
        (("reconcile", "--index", "x", "--where", "[1]"), "one query"),
        (("reconcile", "--index", "x", "--rate", "0"), "above 0"),
        (("retry", "none.jsonl"), "can't be read"),
        (("index", "none.csv", "--index", "x"), "no such file"),
        (("index", "-", "--index", "x", "--format", "xml"), "jsonl, csv, tsv, parquet"),
    ],
)
async def test_mistakes_are_one_line(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    told = (await shell.run(*arguments, code=1)).stderr
    assert message in told
    assert "Traceback" not in told
