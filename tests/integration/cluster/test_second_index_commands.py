"""`sidecar migrate --into`, as an operator types it: what it prints, and its exit codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.engine import Engine
from sidecar.server.process import SidecarProcess
from tests.support.migration import NEW, OLD, documents, prepare_old, put
from tests.support.nodes import Node
from tests.support.second_index import Names, prepare_alias
from tests.support.shell import Done, Shell

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

Run = Callable[..., Awaitable[Done]]


@pytest.fixture
def run(opensearch: Node, two_models: SidecarProcess, names: Names, tmp_path: Path) -> Run:
    shell = Shell(tmp_path, opensearch.url, two_models.target)

    async def sidecar(*step: str, code: int | None = 0) -> Done:
        return await shell.run(*step, "--index", names.alias, code=code)

    return sidecar


async def test_from_start_to_drop(
    engine: Engine, both: AsyncSidecarClient, names: Names, run: Run, tmp_path: Path
) -> None:
    await prepare_alias(engine, both, names, documents(20))
    begin = ("migrate", "start", "--model", NEW, "--into", names.second)
    shown = await run(*begin, "--dry-run")
    assert f"PUT /{names.first}/_mapping" in shown.stdout
    assert f"PUT /{names.second}\n" in shown.stdout
    assert "No migration is open" in (await run("migrate", "status")).stdout
    assert "same fields" in (await run(*begin, "--vector-field", "x", code=1)).stderr
    started = await run(*begin, "--json")
    assert orjson.loads(started.stdout)["written"] == 20
    assert f"{OLD} in {names.first} -> {NEW}, in the index {names.second}" in started.stderr
    assert "was not verified" in (await run("migrate", "swap", code=1)).stderr
    found = orjson.loads((await run("migrate", "status", "--json")).stdout)
    assert (found["state"], found["index"], found["other_index"]) == ("filling", names.first, names.second)
    assert f"{names.alias} stands for {names.first}, searched by {OLD}" in (await run("migrate", "status")).stdout

    await put(engine, names.alias, {"late": {"text": "a late lion"}})
    assert "1 documents of" in (await run("migrate", "verify", code=3)).stderr
    assert "is kept as a copy" in (await run("reconcile")).stderr
    queries = tmp_path / "queries.txt"
    queries.write_text("lion river\nthe wolf and the bear\n")
    assert "overlap@10" in (await run("migrate", "verify", "--queries", str(queries))).stdout
    assert f"stands for {names.second}, and is searched by {NEW}" in (await run("migrate", "swap")).stderr
    assert "searched already" in (await run("migrate", "verify", code=1)).stderr
    assert "rollback` comes first" in (await run("migrate", "abort", "--now", code=1)).stderr
    # What the machine's disk and heap say is the machine's.
    warned = await run("doctor", "--json", code=None)
    said = {one["check"]: one for one in orjson.loads(warned.stdout)["findings"]}
    assert f"{names.first}, which is kept as a copy of {names.second}" in said["migration"]["what"]
    assert f"stands for {names.first}, and is searched by {OLD}" in (await run("migrate", "rollback")).stderr
    await run("migrate", "swap")
    dropped = await run("migrate", "drop", "--now")
    assert f"{names.first} with the vectors of {OLD} is deleted" in dropped.stderr
    assert not await engine.index_exists(names.first)
    assert "No migration is open" in (await run("migrate", "status")).stdout


async def test_what_is_given_up(engine: Engine, both: AsyncSidecarClient, names: Names, run: Run) -> None:
    await prepare_alias(engine, both, names, documents(5))
    await run("migrate", "start", "--model", NEW, "--into", names.second, "--no-fill")
    assert "5 documents of" in (await run("migrate", "verify", code=3)).stderr
    assert f"{names.second} with the vectors of {NEW} is deleted" in (await run("migrate", "abort")).stderr
    assert not await engine.index_exists(names.second)
    assert await engine.count(names.alias) == 5


async def test_a_name_that_is_no_alias(engine: Engine, both: AsyncSidecarClient, names: Names, run: Run) -> None:
    await prepare_old(engine, both, names.alias, documents(3))
    try:
        refused = await run("migrate", "start", "--model", NEW, "--into", names.second, code=1)
        assert "only an alias can be pointed at another one" in refused.stderr
        assert f"POST /{names.alias}/_clone/{names.alias}-1" in refused.stderr.replace("\n", "")
    finally:
        await engine.delete_index(names.alias, missing_ok=True)
