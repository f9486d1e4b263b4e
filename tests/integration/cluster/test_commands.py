"""`sidecar setup` and `sidecar index` as a user types them."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.engine import BulkAction, Engine
from sidecar.server.process import SidecarProcess
from tests.support.faults import Status, faulty_proxy
from tests.support.nodes import Node
from tests.support.shell import Shell, ended
from tests.support.sidecars import StartSidecar

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


async def test_a_teardown_that_would_be_refused_is_shown_all_the_same(
    shell: Shell, engine: Engine, index_name: str
) -> None:
    await shell.run("setup", "--index", index_name)
    await engine.bulk([BulkAction(index_name, "1", {"title": "a"})], refresh=True)
    planned = await shell.run("teardown", "--index", index_name, "--dry-run")
    assert planned.stdout == f"DELETE /{index_name}\n"
    assert "holds 1 documents" in planned.stderr
    assert "--delete-documents" in planned.stderr
    refused = await shell.run("teardown", "--index", index_name, code=1)
    assert "--delete-documents" in refused.stderr
    planned = await shell.run("teardown", "--index", index_name, "--delete-documents", "--dry-run")
    assert "refused" not in planned.stderr
    assert await engine.count(index_name) == 1


async def test_ctrl_c_ends_taking_vectors_out_after_the_round_that_is_under_way(
    shell: Shell, opensearch: Node, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    await engine.create_index(index_name, {"mappings": {"properties": {"text": {"type": "text"}}}})
    await shell.run("setup", "--index", index_name, "--lexical-field", "text", "--source-field", "text")
    (tmp_path / "documents.jsonl").write_text('{"_id": "d1", "text": "the query"}\n')
    await shell.run("index", "documents.jsonl", "--index", index_name)
    running: list[Process] = []

    async def interrupt(body: bytes) -> None:
        running[0].send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)

    async with faulty_proxy(opensearch.url, only="/_update_by_query") as proxy:
        proxy.play([Status(504)])
        proxy.before = interrupt
        running.append(await replace(shell, engine=proxy.url).start("teardown", "--index", index_name, "--vectors"))
        done = await ended(running[0], 3)
    assert [path.rpartition("/")[2] for _, path in proxy.requests].count("_update_by_query") == 1
    assert f"Stopped: 0 documents of {index_name} were changed" in done.stderr
    assert "Traceback" not in done.stderr
    again = await shell.run("teardown", "--index", index_name, "--vectors")
    assert "is undone" in again.stderr
    assert await engine.get(index_name, "d1") == {"text": "the query"}


async def test_documents_of_other_fields_are_an_error(
    shell: Shell, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    await shell.run("setup", "--index", index_name)
    lines = [{"_id": f"p{n}", "name": "a lamp", "description": "with a long arm"} for n in range(2)]
    (tmp_path / "shop.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    done = await shell.run("index", "shop.jsonl", "--index", index_name, code=1)
    told = " ".join(done.stderr.split())
    assert "read 2, encoded 0, written 2 (without text 2)" in told
    assert f"{index_name} reads title, text, the documents have name, description." in told
    assert "--source-field" in told
    assert await engine.count(index_name) == 2

    with (tmp_path / "shop.jsonl").open("ab") as more:
        more.write(b"\n{broken\n")
    done = await shell.run("index", "shop.jsonl", "--index", index_name, "--dead-letters", "dead.jsonl", code=1)
    assert "1 of 3 documents were not written: they are in dead.jsonl." in " ".join(done.stderr.split())

    with (tmp_path / "more.jsonl").open("wb") as mixed:
        mixed.write(orjson.dumps({"_id": "p9", "title": "a kettle"}) + b"\n" + orjson.dumps(lines[0]))
    await shell.run("index", "more.jsonl", "--index", index_name)


async def test_an_empty_file_is_told(shell: Shell, index_name: str, tmp_path: Path) -> None:
    await shell.run("setup", "--index", index_name)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    assert "read 0, encoded 0, written 0" in (await shell.run("index", "empty.jsonl", "--index", index_name)).stderr
    told = await shell.run("index", "empty.jsonl", "--index", index_name, "--json")
    assert orjson.loads(told.stdout)["read"] == 0
    refused = await shell.run("index", "empty.jsonl", "--index", "test-nobody", code=1)
    assert "read 0" not in refused.stderr


async def test_a_search_shows_the_fields_that_are_encoded_first(shell: Shell, index_name: str, tmp_path: Path) -> None:
    await shell.run("setup", "--index", index_name)
    (tmp_path / "one.jsonl").write_text('{"_id": "d1", "sku": "L-7", "text": "with an arm", "title": "A lamp"}')
    await shell.run("index", "one.jsonl", "--index", index_name)
    where = ("--index", index_name, "--profile", "lexical")
    assert "d1  A lamp with an arm L-7" in (await shell.run("search", "lamp", *where)).stdout
    nothing = (await shell.run("search", "kettle", *where)).stdout
    assert nothing.startswith("no hits\n")
    assert "total" in nothing
    assert orjson.loads((await shell.run("search", "kettle", *where, "--json")).stdout)["hits"] == []


async def test_lines_that_could_not_be_read_are_mended_in_their_file(
    shell: Shell, engine: Engine, index_name: str, tmp_path: Path
) -> None:
    await shell.run("setup", "--index", index_name)
    (tmp_path / "a.jsonl").write_text('{"_id": "a1", "text": "the query"}\n')
    (tmp_path / "b.jsonl").write_text('{"_id": "b1", "text": "the document"}\n{"text": "no id"}\n')
    await shell.run("index", "a.jsonl", "b.jsonl", "--index", index_name, "--dead-letters", "dead.jsonl", code=3)
    letter = orjson.loads((tmp_path / "dead.jsonl").read_bytes())
    assert (letter["source"], letter["line"], letter["reason"]) == ("b.jsonl", 2, "MISSING_ID")
    kept = await shell.run("retry", "dead.jsonl", code=3)
    told = " ".join(kept.stderr.split())
    assert "letters 1, resolved 0, failed 0, kept 1 (lines that could not be read: mend them in their file" in told
    assert orjson.loads((tmp_path / "dead.jsonl").read_bytes()) == letter
    (tmp_path / "b.jsonl").write_text('{"_id": "b1", "text": "the document"}\n{"_id": "b2", "text": "an id"}\n')
    await shell.run("index", "b.jsonl", "--index", index_name)
    assert await engine.count(index_name) == 3


async def test_a_sidecar_is_no_cluster(shell: Shell, start_sidecar: StartSidecar, index_name: str) -> None:
    sidecar = await start_sidecar()
    done = await replace(shell, engine=sidecar.http_url).run("setup", "--index", index_name, code=1)
    told = " ".join(done.stderr.split())
    assert f"What answers at {sidecar.http_url} does not look like OpenSearch or Elasticsearch" in told


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
