"""What goes away while an alias is moved to another model's index: the process itself, the sidecar, an answer."""

from __future__ import annotations

import signal
from pathlib import Path

import orjson
import pytest

from sidecar.client import AsyncSidecarClient
from sidecar.cluster import DeadLetters
from sidecar.cluster.reconcile import ReconcileOptions
from sidecar.cluster.second_index import (
    CopyRun,
    abort_second_index,
    drop_first_index,
    find_pair,
    second_index_status,
    swap_indices,
)
from sidecar.engine import BulkAction, BulkPolicy, Engine
from sidecar.errors import EngineError, SidecarError
from sidecar.server.process import SidecarProcess
from tests.support.faults import Cut, Status, faulty_proxy
from tests.support.migration import NEW, OLD, documents, put, text_of
from tests.support.nodes import Node
from tests.support.outages import Killer, failing_sidecar
from tests.support.second_index import (
    Names,
    begin_second,
    prepare_alias,
    reconcile,
    require_copy,
    rolled_out_second,
    searched_model,
    swap_in,
    verified,
)
from tests.support.shell import Shell, ended

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

DOCUMENTS = 120
SMALL = ReconcileOptions(batch_documents=8, in_flight=2, write_documents=16, page_documents=30)


async def test_a_start_that_is_killed_is_repeated(
    opensearch: Node,
    engine: Engine,
    both: AsyncSidecarClient,
    two_models: SidecarProcess,
    names: Names,
    tmp_path: Path,
) -> None:
    """Between two kills, documents are changed, added and deleted by the alias."""
    held = documents(DOCUMENTS)
    await prepare_alias(engine, both, names, held)
    command = ("migrate", "start", "--index", names.alias, "--into", names.second, "--model", NEW, "--json")
    async with faulty_proxy(opensearch.url) as proxy:
        killer = Killer(proxy, [DOCUMENTS // 5, DOCUMENTS // 2, DOCUMENTS * 4 // 5], [True, False, True])
        shell = Shell(tmp_path, proxy.url, two_models.target)
        for turn in range(3):
            process = killer.process = await shell.start(*command, "--rate", "120")
            await ended(process, -signal.SIGKILL)
            assert not (await second_index_status(engine, names.alias)).pair.swapped
            changed = {f"d{turn}": {"text": text_of(turn, 3)}, f"new{turn}": {"text": text_of(turn, 5)}}
            await put(engine, names.alias, changed)
            await engine.send("DELETE", f"/{names.alias}/_doc/d{10 + turn}?refresh=true")
            held |= changed
            del held[f"d{10 + turn}"]
        done = await shell.run(*command, "--rate", "120")
    assert orjson.loads(done.stdout)["written"] < DOCUMENTS, "what the killed ones had written was not written again"
    await require_copy(engine, both, names.second, NEW, held)
    await reconcile(engine, both, names)
    await verified(engine, both, names)
    await swap_in(engine, both, names)
    assert await searched_model(engine, both, names, held) == NEW
    await require_copy(engine, both, names.first, OLD, held)


async def test_an_index_that_is_not_made_yet(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    """Cut between the two requests of `start`: it is repeated, or given up."""
    await prepare_alias(engine, both, names, documents(5))
    before = await engine.mappings(names.first)
    for repeated in (False, True):
        only = f"/{names.second}"
        async with faulty_proxy(opensearch.url, only=only) as proxy, await Engine.connect(proxy.url) as unlucky:
            # What templates give to that name is asked for first.
            proxy.play([None, Status(503)])
            with pytest.raises(EngineError):
                await begin_second(unlucky, both, names)
            assert not proxy.script
        found = await second_index_status(engine, names.alias)
        assert found.pair.second is None
        assert found.other is None
        assert (await reconcile(engine, both, names)).found == 0
        if repeated:
            await begin_second(engine, both, names)
            assert (await second_index_status(engine, names.alias)).other is not None
        else:
            await abort_second_index(engine, names.alias)
            assert await engine.mappings(names.first) == before


@pytest.mark.parametrize("point", ["_block/write", "_bulk", "_aliases-before", "_aliases-after"])
async def test_a_swap_that_is_killed_is_repeated(
    opensearch: Node,
    engine: Engine,
    both: AsyncSidecarClient,
    two_models: SidecarProcess,
    names: Names,
    tmp_path: Path,
    point: str,
) -> None:
    """Whatever it was at: the same command lets writes through, and nothing of what was written is lost."""
    held = documents(20)
    await prepare_alias(engine, both, names, held)
    await rolled_out_second(engine, both, names)
    held["late"] = {"text": "a late lion"}
    await put(engine, names.alias, {"late": held["late"]})
    only, _, when = point.partition("-")
    async with faulty_proxy(opensearch.url, only=f"/{only}") as proxy:
        shell = Shell(tmp_path, proxy.url, two_models.target)
        process = await shell.start("migrate", "swap", "--index", names.alias)

        async def end(_body: bytes) -> None:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()

        proxy.before, proxy.after = (None, end) if when == "after" else (end, None)
        await ended(process, -signal.SIGKILL)
        proxy.before = proxy.after = None
        found = await second_index_status(engine, names.alias)
        if found.pair.record.switching is not None:
            assert point != "_bulk"
        await shell.run("migrate", "swap", "--index", names.alias)
    found = await second_index_status(engine, names.alias)
    assert found.pair.swapped
    assert found.pair.record.switching is None
    await put(engine, names.alias, {"after": {"text": "a bear after"}})
    held["after"] = {"text": "a bear after"}
    await reconcile(engine, both, names)
    for index, model in ((names.first, OLD), (names.second, NEW)):
        await require_copy(engine, both, index, model, held)
    assert await searched_model(engine, both, names, held) == NEW


@pytest.mark.parametrize("fault", [Cut.BEFORE, Cut.AFTER, Status(503)])
async def test_a_switch_whose_answer_is_lost(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, names: Names, fault: Cut | Status
) -> None:
    held = documents(10)
    await prepare_alias(engine, both, names, held)
    await rolled_out_second(engine, both, names)
    async with faulty_proxy(opensearch.url, only="/_aliases") as proxy, await Engine.connect(proxy.url) as unlucky:
        # The HTTP client repeats a request once where a connection that was in use is cut.
        proxy.play([fault] * (2 if isinstance(fault, Cut) else 1))
        with pytest.raises(EngineError):
            await swap_in(unlucky, both, names)
        proxy.script.clear()
        found = await second_index_status(engine, names.alias)
        assert found.pair.swapped == (fault is Cut.AFTER)
        assert found.pair.record.switching is None
        await put(engine, names.alias, {"d1": {"text": text_of(1, 4)}})
        await swap_in(unlucky, both, names)
    held["d1"] = {"text": text_of(1, 4)}
    await reconcile(engine, both, names)
    assert await searched_model(engine, both, names, held) == NEW


async def test_a_drop_that_was_cut_short_is_repeated(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    held = documents(10)
    await prepare_alias(engine, both, names, held)
    await rolled_out_second(engine, both, names)
    await swap_in(engine, both, names)
    only = f"/{names.second}/_mapping"
    async with faulty_proxy(opensearch.url, only=only) as proxy, await Engine.connect(proxy.url) as unlucky:
        # Read twice (when it begins, and after it has waited): what comes next is after the deletion.
        proxy.play([None, None, *[Status(503)] * 3])
        with pytest.raises(EngineError):
            await drop_first_index(unlucky, names.alias, settle=0.0)
    pair = await find_pair(engine, names.alias)
    assert pair is not None
    assert pair.first is None
    assert await searched_model(engine, both, names, held) == NEW
    assert (await reconcile(engine, both, names)).failed == 0
    await drop_first_index(engine, names.alias, settle=0.0)
    assert await find_pair(engine, names.alias) is None


async def test_a_sidecar_that_is_restarted(
    engine: Engine, names: Names, tiny_idf_bundle: Path, tiny_own_terms_bundle: Path
) -> None:
    held = documents(DOCUMENTS)
    bundles = (tiny_idf_bundle, tiny_own_terms_bundle)
    async with failing_sidecar(bundles, DOCUMENTS // 4) as (client, outage):
        await prepare_alias(engine, client, names, held)
        await begin_second(engine, client, names)
        with DeadLetters(None) as letters:
            run = CopyRun(engine, client, names.alias, letters, SMALL, progress=outage.progress)
            summary = await run.run()
        await outage.over()
        assert (summary.written, summary.left) == (DOCUMENTS, 0)
        await verified(engine, client, names)
        await swap_in(engine, client, names)
        assert await searched_model(engine, client, names, held) == NEW


async def test_a_swap_without_a_sidecar_lets_writes_through_again(
    opensearch: Node, engine: Engine, both: AsyncSidecarClient, names: Names
) -> None:
    await prepare_alias(engine, both, names, documents(5))
    await rolled_out_second(engine, both, names)
    async with AsyncSidecarClient("127.0.0.1:9", timeout=1.0) as nobody:
        with DeadLetters(None) as letters, pytest.raises(SidecarError):
            await swap_indices(engine, nobody, names.alias, letters, ReconcileOptions(patience=0.5))
    quick = BulkPolicy(attempts=1, held_up_seconds=0.0)
    async with await Engine.connect(opensearch.url, bulk=quick) as impatient:
        assert (await impatient.bulk([BulkAction(names.alias, "x", {"text": "x"})]))[0].written
