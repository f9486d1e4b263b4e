"""`sidecar migrate`, as an operator types it: what it prints, and its exit codes."""

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
from tests.support.shell import Done, Shell

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

Migrate = Callable[..., Awaitable[Done]]


@pytest.fixture
def migrate(opensearch: Node, two_models: SidecarProcess, index_name: str, tmp_path: Path) -> Migrate:
    shell = Shell(tmp_path, opensearch.url, two_models.target)

    async def run(step: str, *arguments: str, code: int = 0) -> Done:
        return await shell.run("migrate", step, "--index", index_name, *arguments, code=code)

    return run


async def test_from_start_to_drop(
    engine: Engine, both: AsyncSidecarClient, index_name: str, migrate: Migrate, tmp_path: Path
) -> None:
    await prepare_old(engine, both, index_name, documents(30))
    shown = await migrate("start", "--model", NEW, "--dry-run")
    assert f"PUT /{index_name}/_mapping" in shown.stdout
    assert "No migration is open" in (await migrate("status")).stdout
    started = await migrate("start", "--model", NEW, "--json")
    assert orjson.loads(started.stdout)["written"] == 30
    assert f"{OLD} -> {NEW}" in started.stderr
    assert "was not verified" in (await migrate("swap", code=1)).stderr
    found = orjson.loads((await migrate("status", "--json")).stdout)
    assert (found["state"], found["other"]["bundle"], found["other_counts"]["missing"]) == ("filling", NEW, 0)

    queries, qrels = tmp_path / "queries.txt", tmp_path / "test.tsv"
    queries.write_text("lion river\nthe wolf and the bear\n")
    qrels.write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n2\td2\t1\n")
    judged = ("--queries", str(queries), "--qrels", str(qrels))
    refused = await migrate("verify", "--queries", str(queries), "--min-overlap", "1.0", "--json", code=3)
    figures = orjson.loads(refused.stdout)
    assert 0.0 <= figures["overlap"] < 1.0
    assert "share" in figures["problems"][0]
    assert "was not verified" in (await migrate("swap", code=1)).stderr
    told = await migrate("verify", *judged)
    assert "queries 2: overlap@10" in told.stdout
    assert "nDCG@10" in told.stdout
    assert "Nothing speaks against" in told.stderr

    await migrate("swap")
    assert "searched already" in (await migrate("verify", code=1)).stderr
    assert f"searched by {OLD}" in (await migrate("rollback")).stderr
    await migrate("swap")
    dropped = await migrate("drop", "--now")
    assert f"{OLD} is gone from 30 documents" in dropped.stderr
    assert "splade, splade_hash" in dropped.stderr
    assert "is not being migrated" in (await migrate("rollback", code=1)).stderr


async def test_what_is_not_complete_is_told_by_the_exit_code(
    engine: Engine, both: AsyncSidecarClient, index_name: str, migrate: Migrate
) -> None:
    await prepare_old(engine, both, index_name, documents(10))
    await migrate("start", "--model", NEW, "--no-fill")
    refused = await migrate("verify", code=3)
    assert "missing 10" in refused.stdout
    assert "10 documents have no vector" in refused.stderr
    await migrate("start", "--model", NEW)
    await put(engine, index_name, {"late": {"text": "a late lion"}})
    assert "1 documents have no vector" in (await migrate("verify", code=3)).stderr
    await migrate("verify", "--allow-missing", "1")
    assert "--allow-missing" in (await migrate("swap", code=1)).stderr
    await migrate("swap", "--force")
    assert "roll" in (await migrate("abort", code=1)).stderr
    await migrate("rollback")
    assert f"{NEW} is gone from 10 documents" in (await migrate("abort", "--now")).stderr
    assert "No migration is open" in (await migrate("status")).stdout


@pytest.mark.parametrize(
    "arguments", [("--min-overlap", "0.5"), ("--queries", "q.txt", "--max-loss", "0.1")], ids=["queries", "qrels"]
)
async def test_bounds_without_what_they_are_about(migrate: Migrate, arguments: tuple[str, ...]) -> None:
    assert "--q" in (await migrate("verify", *arguments, code=1)).stderr
